"""Registries of what training is made of: objectives and schedules of the learning rate."""

from __future__ import annotations

from phire.parts import Registry

objective = Registry("objective", "phire.downscaling.objectives", "phire.rplearn")
"""All objectives by name: functions or classes ``(task, **options) -> Objective``, called inside
the strategy's scope. ``task`` is of the room that defines them:
:class:`phire.downscaling.generator_task.Task` or :class:`phire.rplearn.pretext_task.Task`."""

schedule = Registry("schedule", "phire.training")
"""All schedules by name: functions ``(steps, **options) -> Schedule``, see
:mod:`phire.training.learning_rate_schedules`."""
