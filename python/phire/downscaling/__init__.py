"""Super-resolution: training generators, interpolation baselines, prediction of whole fields.

The names are imported when they are used: interpolation needs no TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "Downscaler": "downscaler",
    "InterpolatedSource": "interpolation",
    "PredictedSource": "predicted_source",
    "SuperResolution": "objectives.srgan",
    "predict": "prediction",
    "train_generator": "training",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_PLACES]
