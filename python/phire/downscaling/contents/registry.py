"""Registry of content losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from phire.part_registry import Registry

Loss = Callable[[Any, Any, Any], Any]
"""Function ``loss(truth, generated, weights)`` that returns a scalar. Fields are normalised,
(B, H, W, C), or (B, T, H, W, C) with a time window. ``weights`` are not negative and broadcast to
the fields' shape; None for equal weights. Both fields must be 0 at points of weight 0."""

content = Registry("content", "phire.downscaling.contents")
"""Content losses by name: functions ``(task, *, options) -> Loss``, where ``task`` is a
:class:`phire.downscaling.generator_task.Task`."""
