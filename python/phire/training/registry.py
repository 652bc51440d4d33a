"""Registries of objectives and of learning-rate schedules."""

from __future__ import annotations

from phire.part_registry import Registry

objective = Registry("objective", "phire.downscaling.objectives", "phire.rplearn")
"""Objectives by name: functions or classes ``(task, **options) -> Objective``, called inside the
strategy's scope. ``task`` is a :class:`phire.downscaling.generator_task.Task` for objectives of
downscaling and a :class:`phire.rplearn.pretext_task.Task` for those of AtmoDist."""

schedule = Registry("schedule", "phire.training")
"""Learning-rate schedules by name: functions ``(steps, **options) -> Schedule``; see
:mod:`phire.training.learning_rate_schedules`."""
