"""Statistics of fields against a truth, with figures and a report.

Names are imported when first used, so that commands start without loading all statistics. Each
registered statistic is also available as a function on xarray data.
"""

from __future__ import annotations

import importlib

import lazy_loader

from phire.evaluation.registry import function_names

_attribute, _, _names = lazy_loader.attach(
    __name__,
    submod_attrs={
        "catalogue": ["statistics"],
        "cities": ["City", "read_cities"],
        "figures": ["draw_all"],
        "xarray_functions": [
            "coherence",
            "kinetic_energy_spectrum",
            "learned_distance",
            "measure",
            "variance_spectrum",
        ],
        "report": ["write_report"],
        "results": ["describe_results"],
        "runner": ["evaluate"],
        "summary": ["summarise"],
    },
)

__all__ = sorted({*_names, *function_names()})


def __getattr__(name: str) -> object:
    if name in function_names():
        return importlib.import_module(f"{__name__}.xarray_functions").function_of(
            function_names()[name]
        )
    return _attribute(name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
