"""The training loop on a toy: what it logs, where it goes on, what it refuses."""

from __future__ import annotations

import functools
import os
import signal
import threading

import numpy as np
import pytest
import tensorflow as tf

from phire.errors import InputError, WorkError
from phire.training import Phase, Terminated, open_run, phase_runner, run_outputs, train
from toy_objective import Line, points


def weights(run):
    return run.network("line").get_weights()


def test_a_run_learns_and_keeps_everything(tmp_path, phases):
    run = train(Line, phases, run=tmp_path / "run", options={"a": 1},
                validation=lambda shard: points(99, 0, shard))  # fmt: skip
    history = run.history
    assert list(history["phase"]) == ["first", "first", "second"]
    assert list(history["step"]) == [40, 80, 120]
    assert history["loss"].iloc[-1] < 0.3 * history["loss"].iloc[0]
    assert history["val_loss"].iloc[-1] < 0.05
    np.testing.assert_allclose(history["learning_rate_line"], [0.05, 0.05, 0.01], rtol=1e-6)
    assert run.completed
    assert run.epochs == [1, 2, 3]
    assert run.config["a"] == 1
    for a, b in zip(weights(run), run.network("line", 3).get_weights()):
        np.testing.assert_array_equal(a, b)
    assert list((run.path / "tensorboard").iterdir())
    assert len(list((run.path / "checkpoints").glob("step-*"))) == 3


def test_the_same_command_is_done_and_another_is_refused(tmp_path, phases, capsys):
    train(Line, phases[:1], run=tmp_path / "run", options={"a": 1})
    before = (tmp_path / "run" / "training.csv").read_bytes()
    train(Line, phases[:1], run=tmp_path / "run", options={"a": 1})
    assert "already" in capsys.readouterr().err
    assert (tmp_path / "run" / "training.csv").read_bytes() == before
    with pytest.raises(InputError, match="a was 1, now 2"):
        train(Line, phases[:1], run=tmp_path / "run", options={"a": 2})


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("stop", [13, 40, 55, 81])
def test_interrupted_and_resumed_it_ends_with_the_same_bits(tmp_path, phases, monkeypatch, stop):
    monkeypatch.setattr(phase_runner, "CHUNK_SECONDS", 0.0)  # a step at a time
    options = {"options": {}, "seed": 3, "deterministic": True, "checkpoint_minutes": 0.0}
    whole = train(Line, phases, run=tmp_path / "whole", **options)

    def interrupted(epoch, skip, shard):
        # The batch after `stop` steps never comes.
        done = 40 * epoch + skip
        dataset = points(epoch, skip, shard)
        return dataset.take(max(stop - done, 0)) if done + 40 > stop else dataset

    broken = [Phase("first", 2, interrupted, 40, {"line": 0.05}), phases[1]]
    if stop > 80:
        broken = [phases[0], Phase("second", 1, functools.partial(_cut, stop - 80), 40,
                                   {"line": 0.01})]  # fmt: skip
    with pytest.raises(WorkError, match="the records ended"):
        train(Line, broken, run=tmp_path / "parts", **options)
    parts = train(Line, phases, run=tmp_path / "parts", **options)
    for a, b in zip(weights(whole), weights(parts)):
        np.testing.assert_array_equal(a, b)
    columns = ["epoch", "step", "loss"]
    np.testing.assert_allclose(whole.history[columns], parts.history[columns], rtol=1e-12)


def _cut(count, epoch, skip, shard):
    return points(epoch, skip, shard).take(max(count - skip, 0))


def test_a_damaged_checkpoint_is_passed_over(tmp_path, phases, monkeypatch):
    monkeypatch.setattr(phase_runner, "CHUNK_SECONDS", 0.0)
    options = {"options": {}, "seed": 3, "deterministic": True, "checkpoint_minutes": 0.0}
    whole = train(Line, phases[:1], run=tmp_path / "whole", **options)
    broken = [Phase("first", 2, functools.partial(_cut, 20), 40, {"line": 0.05})]
    with pytest.raises(WorkError, match="the records ended"):
        train(Line, broken, run=tmp_path / "parts", **options)
    newest = max((tmp_path / "parts" / "checkpoints").glob("step-*"))
    data = next(newest.glob("*.data-*"))
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 0xFF
    data.write_bytes(content)
    with pytest.warns(UserWarning, match="trying the previous one"):
        parts = train(Line, phases[:1], run=tmp_path / "parts", **options)
    for a, b in zip(weights(whole), weights(parts)):
        np.testing.assert_array_equal(a, b)


def test_sigterm_saves_and_ends_with_143(tmp_path, phases, monkeypatch):
    monkeypatch.setattr(phase_runner, "CHUNK_SECONDS", 0.0)

    def noticed(epoch, skip, shard):
        if epoch == 1:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        return points(epoch, skip, shard)

    long = Phase("first", 2000, noticed, 40, {"line": 0.05})
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated, match="the same command resumes it") as caught:
        train(Line, [long], run=tmp_path / "run", options={})
    assert caught.value.status == 143
    assert signal.getsignal(signal.SIGTERM) is before
    run = open_run(tmp_path / "run")
    assert not run.completed
    saved = max((run.path / "checkpoints").glob("step-*"))
    assert int(saved.name.removeprefix("step-")) > 40


def test_a_loss_that_is_not_finite_stops_and_names_the_batch(tmp_path):
    poisoned = functools.partial(points, poisoned=8 * 17 + 3)
    phase = Phase("first", 1, poisoned, 40, {"line": 0.05})
    with pytest.raises(
        WorkError, match=r"loss not finite at step 18 of epoch 1 \(first\), batch 18 of 40:"
    ):
        train(Line, [phase], run=tmp_path / "run", options={})
    batch = np.load(tmp_path / "run" / "failure" / "batch.npz")
    assert np.isnan(batch["y"][3])
    assert np.isnan(batch["y"]).sum() == 1


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, phases, monkeypatch):
    train(Line, phases[:1], run=tmp_path / "whole", options={}, deterministic=True)
    write = tf.train.Checkpoint.write
    calls = []

    def full(self, path, *arguments, **keywords):
        calls.append(path)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(self, path, *arguments, **keywords)

    monkeypatch.setattr(tf.train.Checkpoint, "write", full)
    with pytest.raises(WorkError, match="disk is full"):
        train(Line, phases[:1], run=tmp_path / "run", options={}, deterministic=True)
    kept = list((tmp_path / "run" / "checkpoints").iterdir())
    assert [path.name for path in kept] == ["step-000000040"]
    monkeypatch.undo()
    run = train(Line, phases[:1], run=tmp_path / "run", options={}, deterministic=True)
    for a, b in zip(weights(open_run(tmp_path / "whole")), weights(run)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"checkpoint_steps": 0}, "checkpoint_steps 0 must be"),
        ({"checkpoint_minutes": -1.0}, "checkpoint_minutes -1.0 must not"),
        ({"seed": -1}, "seed -1 must be"),
        ({"keep": 0}, "keep 0"),
        ({"weight_decay": -1.0}, "weight_decay -1.0 must be"),
        ({"precision": "half"}, "precision half must be one of"),
        ({"devices": "tpu"}, "devices tpu must be one of"),
    ],
)
def test_options_without_meaning_are_refused(tmp_path, phases, option, said):
    with pytest.raises(InputError, match=said):
        train(Line, phases, run=tmp_path / "run", options={}, **option)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("epochs, steps", [(-1, 40), (0, 40), (1, 0)])
def test_a_phase_without_an_end_or_a_step_is_refused(tmp_path, epochs, steps):
    phase = Phase("only", epochs, points, steps)
    with pytest.raises(InputError, match=r"only: .* both numbers must"):
        train(Line, [phase], run=tmp_path / "run", options={})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("place", ["replacing", "posix_fallocate"])
def test_a_full_disk_at_the_end_of_an_epoch(tmp_path, phases, monkeypatch, place):
    whole = train(Line, phases[:1], run=tmp_path / "whole", options={}, deterministic=True)
    module = {"replacing": run_outputs.files, "posix_fallocate": run_outputs.os}[place]
    plain = getattr(module, place)

    history = tmp_path / "run" / "training.csv"

    def full(path, *arguments):
        # The history of the second epoch, or its weights.
        begun = history.exists() and len(open_run(tmp_path / "run").history) == 1
        if begun and place == "replacing" and path == history:
            raise OSError(28, "No space left on device")
        if history.exists() and place == "posix_fallocate":
            raise OSError(28, "No space left on device")
        return plain(path, *arguments)

    monkeypatch.setattr(module, place, full)
    said = "could not be written.*(disk is full|No space left).*same command"
    with pytest.raises(WorkError, match=said) as caught:
        train(Line, phases[:1], run=tmp_path / "run", options={}, deterministic=True)
    assert not hasattr(caught.value, "status")  # so it is 1
    monkeypatch.undo()
    run = train(Line, phases[:1], run=tmp_path / "run", options={}, deterministic=True)
    assert list(run.history["step"]) == [40, 80]
    for a, b in zip(weights(whole), weights(run)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_learns_and_is_saved_in_float32(tmp_path, phases, precision):
    import keras

    try:
        run = train(Line, phases[:1], run=tmp_path / "run", options={}, precision=precision)
    finally:
        keras.config.set_dtype_policy("float32")
    assert run.history["loss"].iloc[-1] < run.history["loss"].iloc[0]
    assert {layer.compute_dtype for layer in run.network("line").layers} == {"float32"}
