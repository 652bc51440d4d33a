"""Statistics of fields against a truth, with figures and a report.

The names are loaded when first used: what needs none of the statistics starts without them. Each
registered statistic is a function here, too.
"""

from __future__ import annotations

import importlib

from phire.evaluation.registry import function_names

_HOMES = {
    "City": "cities",
    "coherence": "functions",
    "describe_results": "results",
    "draw_all": "figures",
    "evaluate": "runner",
    "kinetic_energy_spectrum": "functions",
    "learned_distance": "functions",
    "measure": "functions",
    "read_cities": "cities",
    "statistics": "catalogue",
    "summarise": "summary",
    "variance_spectrum": "functions",
    "write_report": "report",
}

__all__ = sorted({*_HOMES, *function_names()})


def __getattr__(name: str) -> object:
    if name in function_names():
        return importlib.import_module(f"{__name__}.functions").function_of(function_names()[name])
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
