"""AtmoDist: the pretext tasks, the evaluation against time lag, the learned metric.

The names are imported when they are used, so that describing a metric loads no network library.
"""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "ContentLoss": "content_loss",
    "FeatureSource": "field_features",
    "FrechetDistance": "frechet",
    "LearnedMetric": "metric",
    "certainty_maps": "certainty",
    "compare_runs": "comparison",
    "describe_metric": "description",
    "evaluate_representation": "evaluation",
    "export_features": "field_features",
    "frechet_atmodist_distance": "frechet",
    "frechet_distance": "frechet",
    "import_metric": "original",
    "measure_distances": "field_features",
    "source_distance": "field_features",
    "train_representation": "training",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_PLACES]
