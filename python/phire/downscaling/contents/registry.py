"""Registry of content losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from phire.parts import Registry

Loss = Callable[[Any, Any, Any], Any]
"""``loss(truth, generated, weights)``, a scalar, of normalised fields (B, H, W, C) or with a window
(B, T, H, W, C). ``weights`` are of a shape that broadcasts to theirs and not negative; None for
equal ones. Where a weight is 0, both fields are 0."""

content = Registry("content", "phire.downscaling.contents")
"""All contents by name: functions ``(task, *, options) -> Loss`` of a
:class:`phire.downscaling.generator_task.Task`."""
