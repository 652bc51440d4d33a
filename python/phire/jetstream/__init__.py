"""A downstream task: the latitude of the jet, told from learned features.

The names are imported when they are used, so that this package loads at once.
"""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {"jet_latitude": "index", "low_pass": "index", "probe_jet": "probe"}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_PLACES]
