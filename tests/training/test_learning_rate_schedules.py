"""Schedules: factors by the formulas, over phases, through an interruption."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

from phire.errors import InputError, WorkError
from phire.training import Phase, schedule, scheduled, train
from toy_objective import Line, points


def factors(specification, phases):
    """Factors at every step of phases of 40 steps an epoch."""
    made = scheduled(specification, phases)
    return np.concatenate(
        [
            [float(phase.factor(tf.constant(float(n)))) for n in range(phase.epochs * phase.steps)]
            for phase in made
        ]
    )


@pytest.fixture
def two():
    return [Phase("a", 2, points, 40, {"line": 0.05}), Phase("b", 1, points, 40, {"line": 0.01})]


def test_a_constant_rate_has_no_factor(two):
    assert [phase.factor for phase in scheduled("constant", two)] == [None, None]


def test_a_warm_up_rises_linearly_and_stays(two):
    expected = np.minimum(np.arange(1, 121) / 50, 1)
    np.testing.assert_allclose(factors("constant,warmup=50", two), expected, rtol=1e-6)


def test_a_cosine_spans_all_phases(two):
    n = np.arange(120)
    cosine = 0.1 + 0.9 * (1 + np.cos(np.pi * np.clip((n - 20) / 100, 0, 1))) / 2
    expected = cosine * np.minimum((n + 1) / 20, 1)
    np.testing.assert_allclose(
        factors("cosine,warmup=20,final=0.1", two), expected, rtol=1e-5, atol=1e-7
    )


def test_steps_lower_the_rate_once_or_several_times(two):
    n = np.arange(120)
    np.testing.assert_allclose(factors("step,after=50", two), np.where(n < 50, 1, 0.1), rtol=1e-6)
    expected = 0.5 ** ((n >= 30).astype(float) + (n >= 90)) * np.minimum((n + 1) / 10, 1)
    np.testing.assert_allclose(
        factors("step,after=[30,90],factor=0.5,warmup=10", two), expected, rtol=1e-6
    )
    for wrong in ("after=0", "after=[5,-5]", "after=5,factor=1"):
        with pytest.raises(InputError, match="schedule step"):
            scheduled(f"step,{wrong}", two)
    with pytest.raises(InputError, match="needs the option after"):
        scheduled("step", two)


def test_a_step_beyond_the_training_does_not_lower_the_rate(two):
    np.testing.assert_array_equal(factors("step,after=120", two), np.ones(120))
    np.testing.assert_array_equal(factors("step,after=100000", two), np.ones(120))
    np.testing.assert_array_equal(
        factors("step,after=[50,100000]", two), factors("step,after=50", two)
    )


def test_a_plateau_is_of_every_optimizer(two):
    made = scheduled("plateau,patience=3", two)
    assert made[0].reduce_on_plateau["line"]["patience"] == 3
    assert made[0].reduce_on_plateau["line"]["min_delta"] == 0.04


class Told(Line):
    """Reports the learning rate of each step beside the loss."""

    def train_step(self, batch):
        scalars = super().train_step(batch)
        return {**scalars, "rate": self.optimizer.learning_rate.value}


def test_rates_follow_the_schedule_through_an_interruption(tmp_path, two):
    whole = scheduled("cosine,warmup=10", two)
    rates = np.concatenate([np.full(80, 0.05), np.full(40, 0.01)]) * factors(
        "cosine,warmup=10", two
    )

    def cut(epoch, skip, shard):
        return points(epoch, skip, shard).take(max(25 - skip, 0) if epoch == 1 else 40)

    options = {"options": {}, "seed": 3, "deterministic": True, "checkpoint_steps": 10}
    broken = scheduled("cosine,warmup=10", [Phase("a", 2, cut, 40, {"line": 0.05}), two[1]])
    with pytest.raises(WorkError, match="the records ended"):
        train(Told, broken, run=tmp_path / "parts", **options)
    runs = [train(Told, whole, run=tmp_path / name, **options) for name in ("parts", "whole")]
    for run in runs:
        np.testing.assert_allclose(run.history["rate"], rates.reshape(3, 40).mean(1), rtol=1e-5)
    for a, b in zip(*(run.network("line").get_weights() for run in runs)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("specification", "said"),
    [
        ("constant,warmup=500", "a warm-up of 500 steps does not fit a training of 120 steps"),
        ("cosine,final=2", "final=2 must lie between 0 and 1"),
        ("plateau,factor=1.5", "factor=1.5 must lie between 0 and 1"),
        ("stairs", r"schedule 'stairs' is unknown: choose one of constant, cosine, plateau, step"),
        ("cosine,heat=1", "schedule cosine has no option 'heat': it has warmup=0, final=0.0"),
    ],
)
def test_impossible_schedules_are_named(two, specification, said):
    with pytest.raises(InputError, match=said):
        scheduled(specification, two)


def test_schedules_are_told_without_tensorflow():
    assert list(schedule.parts()) == ["constant", "cosine", "plateau", "step"]


def test_a_mistake_in_the_objective_leaves_no_run(tmp_path):
    def build():
        raise InputError("no such thing")

    with pytest.raises(InputError, match="no such thing"):
        train(build, [Phase("a", 1, functools.partial(points), 40)], run=tmp_path / "run",
              options={})  # fmt: skip
    assert not list(tmp_path.iterdir())
