"""AtmoDist: the pretext tasks, the evaluation against time lag, the learned metric.

The names are imported when they are used, so that describing a metric loads no network library.
"""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "ContentLoss": "content_loss",
    "FrechetDistance": "frechet",
    "LearnedMetric": "metric",
    "describe_metric": "description",
    "frechet_atmodist_distance": "frechet",
    "frechet_distance": "frechet",
    "import_metric": "original",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_PLACES]
