"""What an interrupted training goes on with, and when it ends before its epochs do."""

from __future__ import annotations

import functools
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.errors import InputError, WorkError
from phire.training import Phase, Terminated, open_run, take_over_optimizer, train
from phire.training.checkpoints import Checkpoints
from phire.training.early_stopping import Patience
from phire.training.reduce_on_plateau import ReduceOnPlateau
from toy_objective import Line, points


class Noisy(Line):
    """Adds noise to its inputs, drawn by the step's seed."""

    def train_step(self, batch):
        noise = tf.random.stateless_normal(batch["x"].shape, self.random_seed())
        return super().train_step({**batch, "x": batch["x"] + noise})


def cut(count, epoch, skip, shard):
    return points(epoch, skip, shard).take(max(count - skip, 0))


def interrupted_and_whole(folder, build, **options):
    """Weights and losses of a run cut after 25 of 40 steps and resumed, and of one that is not."""
    options = {"options": {}, "seed": 3, "deterministic": True, "checkpoint_steps": 10, **options}
    phase = Phase("only", 1, points, 40, {"line": 0.05})
    with pytest.raises(WorkError, match="the records ended"):
        broken = Phase("only", 1, functools.partial(cut, 25), 40, {"line": 0.05})
        train(build, [broken], run=folder / "parts", **options)
    steps = sorted(path.name for path in (folder / "parts" / "checkpoints").glob("step-*"))
    assert steps == ["step-000000010", "step-000000020"]
    runs = [train(build, [phase], run=folder / name, **options) for name in ("parts", "whole")]
    return [(run.network("line").get_weights(), run.history["loss"].to_numpy()) for run in runs]


def test_what_a_step_draws_is_the_same_after_a_resumption(tmp_path):
    (weights, losses), (expected, expected_losses) = interrupted_and_whole(tmp_path, Noisy)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-6)  # summed in other parts
    for a, b in zip(weights, expected):
        np.testing.assert_array_equal(a, b)


def test_an_optimizer_takes_over_what_another_one_remembers(tmp_path):
    trained, fresh = Line(), Line()
    for batch in points(0).take(5):
        trained.train_step(batch)
    Checkpoints(tmp_path, trained, keep=1).save(5, {})
    before = [np.array(variable) for variable in fresh.optimizer.variables]
    assert not take_over_optimizer(fresh.optimizer, tmp_path, "circle")
    larger = keras.optimizers.SGD(0.05, momentum=0.9)
    larger.build([keras.Variable(np.zeros((2, 2))) for _ in fresh.network.trainable_variables])
    assert not take_over_optimizer(larger, tmp_path, "line")
    for variable, value in zip(fresh.optimizer.variables, before):
        np.testing.assert_array_equal(variable, value)

    assert take_over_optimizer(fresh.optimizer, tmp_path, "line")
    for mine, theirs in zip(fresh.optimizer.variables, trained.optimizer.variables):
        np.testing.assert_array_equal(mine, theirs)
    assert max(np.abs(np.array(one)).max() for one in fresh.optimizer.variables[2:]) > 0


def test_the_scale_of_a_float16_loss_is_kept(tmp_path):
    try:
        (weights, _), (expected, _) = interrupted_and_whole(tmp_path, Line, precision="float16")
    finally:
        keras.config.set_dtype_policy("float32")
    for a, b in zip(weights, expected):
        np.testing.assert_array_equal(a, b)


class Worsening(Line):
    """Reports scores that are given; trains nothing."""

    scores = (3.0, 1.0, 2.0, 2.5, 4.0, 5.0)

    def __init__(self):
        super().__init__()
        self.epoch = tf.Variable(-1, trainable=False)

    def train_step(self, batch):
        return {"loss": tf.reduce_mean(batch["y"]) * 0}

    def validation_step(self, batch):
        self.epoch.assign_add(1)
        return {"loss": tf.gather(tf.constant(self.scores), self.epoch)}


def one_batch(shard):
    return points(0, 39, shard)


def test_the_checkpoint_of_the_best_epoch_is_kept_and_training_ends_early(tmp_path):
    phase = Phase("only", 6, points, 40, stop_early={"monitor": "val_loss", "patience": 3})
    run = train(Worsening, [phase, Phase("next", 1, points, 40)], run=tmp_path / "run", options={},
                validation=one_batch, keep=2)  # fmt: skip
    assert list(run.history["phase"]) == ["only"] * 5 + ["next"]
    folder = tmp_path / "run" / "checkpoints"
    # The last phase begins anew: its only epoch is its best.
    assert (folder / "best").read_text() == "step-000000240"
    with pytest.raises(InputError, match="keep 0 must"):
        train(Worsening, [phase], run=tmp_path / "other", options={}, keep=0)
    run = train(Worsening, [phase], run=tmp_path / "alone", options={}, validation=one_batch,
                keep=2)  # fmt: skip
    folder = tmp_path / "alone" / "checkpoints"
    kept = sorted(path.name for path in folder.glob("step-*"))
    assert kept == ["step-000000080", "step-000000160", "step-000000200"]
    assert (folder / "best").read_text() == "step-000000080"
    assert run.best_epoch == 2


def test_patience_goes_on_from_its_state():
    scores = [1.0, 0.5, 0.49, 0.6, 0.48]
    whole = Patience(monitor="loss", patience=3, min_delta=0.05)
    expected = [whole.after_epoch({"loss": score}) for score in scores]
    assert expected == [False, False, False, False, True]
    state, found = {}, []
    for score in scores:
        one = Patience(monitor="loss", patience=3, min_delta=0.05, **state)
        found.append(one.after_epoch({"loss": score}))
        state = one.state()
    assert found == expected


def test_a_phase_stops_early_in_the_epoch_in_which_keras_stops():
    scores = [1.0, 0.96, 0.9, 0.87, 0.86, 0.5, 0.49, 0.47, 0.46, 0.45]
    callback = keras.callbacks.EarlyStopping("loss", min_delta=0.04, patience=3, mode="min")
    model = keras.Sequential([keras.layers.Dense(1)])
    callback.set_model(model)
    callback.on_train_begin()
    model.stop_training = False
    patience = Patience(monitor="loss", patience=3, min_delta=0.04)
    for epoch, score in enumerate(scores):
        callback.on_epoch_end(epoch, {"loss": score})
        assert patience.after_epoch({"loss": score}) is model.stop_training
        if model.stop_training:
            break
    assert epoch == 8


def test_a_rate_is_lowered_as_keras_lowers_it():
    losses = [1.0, 0.9, 0.9, 0.89, 0.88, 0.5, 0.49, 0.49, 0.48, 0.47, 0.46, 0.45]
    callback = keras.callbacks.ReduceLROnPlateau("loss", 0.1, 2, min_delta=0.04, min_lr=1e-3)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    callback.set_model(model)
    callback.on_train_begin()
    mine, rate = ReduceOnPlateau(factor=0.1, patience=2, min_delta=0.04, floor=1e-3), 1.0
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"loss": loss})
        rate = mine.lowered({"loss": loss}, rate) or rate
        assert rate == pytest.approx(float(model.optimizer.learning_rate), rel=1e-5)


def test_keras_callbacks_are_told_and_may_end_a_phase(tmp_path):
    heard = []

    class Listener(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            heard.append(("train begins", self.model.name))

        def on_epoch_begin(self, epoch, logs=None):
            heard.append(("begin", epoch))

        def on_epoch_end(self, epoch, logs=None):
            heard.append(("end", epoch, sorted(logs)))
            self.model.stop_training = epoch == 1

        def on_train_end(self, logs=None):
            heard.append(("train ends",))

    own = [
        Listener(),
        keras.callbacks.CSVLogger(tmp_path / "own.csv"),
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}-{learning_rate_line:.2f}.keras"),
    ]
    run = train(Line, [Phase("only", 5, points, 40, {"line": 0.05})], run=tmp_path / "run",
                options={}, callbacks=own, monitor="loss")  # fmt: skip
    assert len(run.history) == 2
    names = ["learning_rate_line", "loss", "seconds"]
    assert heard == [
        ("train begins", "line"),
        ("begin", 0), ("end", 0, names), ("begin", 1), ("end", 1, names),
        ("train ends",),
    ]  # fmt: skip
    assert len((tmp_path / "own.csv").read_text().splitlines()) == 3
    assert sorted(path.name for path in tmp_path.glob("*.keras")) == [
        "1-0.05.keras",
        "2-0.05.keras",
    ]


def test_callbacks_begin_the_epoch_that_is_gone_on_with(tmp_path):
    heard = []

    class Listener(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            heard.append(epoch)

    options = {"options": {}, "checkpoint_steps": 10}
    with pytest.raises(WorkError, match="the records ended"):
        broken = Phase("only", 1, functools.partial(cut, 25), 40)
        train(Line, [broken], run=tmp_path / "run", **options)
    train(Line, [Phase("only", 1, points, 40)], run=tmp_path / "run", callbacks=[Listener()],
          **options)  # fmt: skip
    assert heard == [0]


def test_a_notice_while_validating_is_answered_at_once(tmp_path):
    phase = Phase("only", 1, points, 40)
    used = []

    class Notified(Line):
        def validation_step(self, batch):
            tf.py_function(notify, [], [])
            return super().validation_step(batch)

    def notify():
        used.append(1)
        signal.raise_signal(signal.SIGTERM)

    def validation(shard):
        return points(0, 0, shard)

    with pytest.raises(Terminated, match="saving step 40"):
        train(Notified, [phase], run=tmp_path / "run", options={}, validation=validation)
    assert len(used) == 1
    run = train(Line, [phase], run=tmp_path / "run", options={}, validation=validation)
    assert list(run.history["step"]) == [40]
    assert run.history["val_loss"].notna().all()


def test_xla_learns_the_same(tmp_path):
    phase = Phase("only", 1, points, 40, {"line": 0.05})
    runs = [train(Line, [phase], run=tmp_path / str(jit), options={}, jit=jit, seed=5)
            for jit in (False, True)]  # fmt: skip
    losses = [open_run(run.path).history["loss"].to_numpy() for run in runs]
    np.testing.assert_allclose(*losses, rtol=1e-3)
