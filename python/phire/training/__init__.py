"""The training loop, the run directory, checkpoints.

The names are imported when they are used: describing a run needs no TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "Adam": "optimizers",
    "FurtherStep": "objective",
    "Objective": "objective",
    "Phase": "phase",
    "Run": "run",
    "Terminated": "signals",
    "describe_run": "run",
    "choose_strategy": "devices",
    "copy_weights": "warm_start",
    "freeze_all_but": "warm_start",
    "for_float16": "devices",
    "minimise": "objective",
    "open_run": "run",
    "reduce_and_apply": "objective",
    "scaled": "objective",
    "WeightAverage": "averaging",
    "schedule": "registry",
    "scheduled": "schedules",
    "set_clipping": "clipping",
    "take_over_optimizer": "checkpoints",
    "train": "loop",
    "weight_decay": "objective",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_PLACES]
