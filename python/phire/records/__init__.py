"""Training records: sampling them from a store, and reading them as ``tf.data``.

The names are imported when they are used: writing and describing records needs no TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "Manifest": "manifest",
    "Records": "reading",
    "SampleArray": "schema",
    "SampleSchema": "schema",
    "are_bare_records": "describing",
    "describe_records": "describing",
    "find_damage": "damage",
    "naming_damage": "damage",
    "open_records": "reading",
    "write_downscaling_records": "downscaling",
    "write_pair_records": "pairs",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_PLACES]
