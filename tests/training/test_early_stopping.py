"""Early stopping and the weights of the best epoch."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from phire.errors import InputError
from phire.training import Phase, phase_runner, train
from toy_objective import Line, points

RATE = {"line": 0.05}
SCORES = [5.0, 3.0, 4.0, 3.5, 2.0, 1.0]


class Scored(Line):
    """The line, whose validation loss is SCORES by the number of the epoch."""

    def validation_step(self, batch):
        number = tf.cast(self.optimizer.iterations, tf.int32) // 2 - 1
        return {"loss": tf.gather(tf.constant(SCORES), number)}


def short(epoch, skip=0, shard=(1, 0)):
    return points(epoch, skip, shard).take(2 - skip)


def trained(path, phases, **options):
    return train(
        Scored, phases, run=path, options={}, validation=lambda shard: points(99, 0, shard).take(1),
        **options,
    )  # fmt: skip


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights()))


def test_a_phase_ends_after_epochs_without_progress(tmp_path):
    phases = [Phase("one", 6, short, 2, RATE)]
    run = trained(tmp_path / "two", phases, patience=2)
    assert list(run.history["val_loss"]) == SCORES[:4]
    assert same(run.network("line"), run.network("line", 4))
    assert len(trained(tmp_path / "three", phases, patience=3).history) == 6
    slow = trained(tmp_path / "delta", phases, patience=1, min_delta=2.5)
    assert len(slow.history) == 2


@pytest.mark.parametrize("ema", [None, 0.9])
def test_the_best_epochs_weights_are_those_of_the_finished_run(tmp_path, ema):
    phases = [Phase("one", 6, short, 2, RATE)]
    run = trained(tmp_path / "run", phases, patience=2, restore_best=True, ema=ema, keep=1)
    assert run.best_epoch == 2 and run.config["restore_best"]
    assert same(run.network("line"), run.network("line", 2))
    assert not same(run.network("line"), run.network("line", 4))


def test_the_next_phase_begins_from_the_best_epoch(tmp_path):
    """A second phase after four epochs is one that follows the two that were best."""
    phases = [Phase("one", 6, short, 2, RATE), Phase("two", 1, short, 2, RATE)]
    options = {"seed": 3, "deterministic": True}
    stopped = trained(tmp_path / "a", phases, patience=2, restore_best=True, **options)
    assert list(stopped.history["phase"]) == ["one"] * 4 + ["two"]
    direct = trained(tmp_path / "b", [Phase("one", 2, short, 2, RATE), phases[1]], **options)
    assert same(stopped.network("line"), direct.network("line"))


def test_interrupted_after_the_restoration_it_ends_alike(tmp_path, monkeypatch):
    phases = [Phase("one", 6, short, 2, RATE), Phase("two", 2, short, 2, RATE)]
    options = {"patience": 2, "restore_best": True, "seed": 3, "deterministic": True}
    whole = trained(tmp_path / "whole", phases, **options)
    begin, count = phase_runner.PhaseRunner.begin_phase, iter(range(9))

    def failing(self, phase):
        if next(count) == 1:
            raise KeyboardInterrupt
        begin(self, phase)

    monkeypatch.setattr(phase_runner.PhaseRunner, "begin_phase", failing)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "broken", phases, **options)
    monkeypatch.undo()
    run = trained(tmp_path / "broken", phases, **options)
    assert same(run.network("line"), whole.network("line"))
    assert list(run.history["val_loss"]) == list(whole.history["val_loss"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"patience": 0}, "^patience 0 must be at least 1"),
        ({"patience": 2, "min_delta": -1.0}, "min_delta -1 must not be"),
        ({"min_delta": 0.1}, "^min_delta .* without patience"),
    ],
)
def test_impossible_patience_is_refused(tmp_path, options, said):
    with pytest.raises(InputError, match=said):
        trained(tmp_path / "run", [Phase("one", 1, short, 2, RATE)], **options)
    assert not (tmp_path / "run").exists()
