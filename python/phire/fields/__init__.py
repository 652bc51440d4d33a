"""Gridded fields: grids, times, stores and files, transforms, normalisation; no machine learning.

The names are imported when they are used, so that this package loads at once.
"""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "ArraySource": "source",
    "ChannelSelection": "selection",
    "Climatology": "climatologies",
    "CoarsenedSource": "coarsening",
    "DatasetSource": "dataset",
    "EnsembleSource": "ensemble",
    "FieldStore": "store",
    "Grid": "grid",
    "Interpolator": "interpolation",
    "Normalization": "normalization",
    "RegionSource": "selection",
    "RegriddedSource": "regridding",
    "Regridder": "regridding",
    "Source": "source",
    "SphericalHarmonics": "harmonics",
    "StoreWriter": "store",
    "StandardizedSource": "climatologies",
    "TimeAxis": "time",
    "TimeSelection": "source",
    "WindSource": "selection",
    "as_source": "ensemble",
    "block_mean": "coarsening",
    "climatology": "climatologies",
    "coarsen_grid": "coarsening",
    "convert": "conversion",
    "describe_source": "description",
    "describe_store": "description",
    "fit_climatology": "climatologies",
    "fit_normalization": "normalization_fit",
    "join": "joining",
    "member_count": "source",
    "open_fields": "ensemble",
    "open_source": "opening",
    "open_store": "store",
    "refine_grid": "coarsening",
    "regrid": "regridding",
    "simulate": "shallow_water",
    "standardize": "climatologies",
    "to_dataset": "source",
    "upsample": "interpolation",
    "write_source": "output",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_PLACES]
