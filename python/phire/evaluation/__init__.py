"""Statistics of fields against a truth, with figures and a report.

The names are loaded when first used: what needs none of the statistics starts without them.
"""

from __future__ import annotations

import importlib

_HOMES = {
    "City": "cities",
    "STATISTICS": "families",
    "cities_distribution": "functions",
    "coherence": "functions",
    "describe_results": "results",
    "distribution": "functions",
    "draw_all": "figures",
    "ensemble_scores": "functions",
    "evaluate": "runner",
    "fractions_skill_score": "functions",
    "high_pass_errors": "functions",
    "kinetic_energy_spectrum": "functions",
    "learned_distance": "functions",
    "localized_spectrum": "functions",
    "maps": "functions",
    "projection_distances": "functions",
    "read_cities": "cities",
    "scores": "functions",
    "semivariogram": "functions",
    "statistic": "functions",
    "summarise": "summary",
    "variance_spectrum": "functions",
    "write_report": "report",
    "zonal_spectrum": "functions",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
