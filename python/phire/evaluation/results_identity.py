"""Identity of a results folder: what was evaluated, and with which options."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from phire import provenance
from phire.evaluation.results import TRUTH
from phire.evaluation.setting import Setting
from phire.fields.source import Source


def folder_identity(
    setting: Setting, origins: Mapping[str, Any], climatology: Source | None
) -> dict[str, Any]:
    """Returns the options that all results of a folder depend on."""
    time = setting.time
    base = {
        "truth": origins[TRUTH],
        "times": [len(time), time.format(0), time.format(-1)],
        "grid": setting.grid.describe(),
        "scale": setting.scale or 0,
        "seed": setting.seed,
        "lags": list(setting.lags),
        "pairs": setting.pairs,
        "climatology": None
        if climatology is None
        else origins.get("--climatology") or source_identity(climatology),
        "learned": origins.get("--learned") or sorted(setting.learned),
    }
    if setting.named_wind is not None:
        base["wind"] = list(setting.named_wind)
    if setting.sites:
        base["sites"] = {name: list(place) for name, place in setting.sites.items()}
    if setting.stations:
        base["stations"] = [setting.stations.points, *setting.stations.origin]
    if setting.thresholds:
        base["thresholds"] = {name: list(found) for name, found in setting.thresholds.items()}
    return base


def source_identity(source: Any) -> dict[str, Any]:
    """Returns the identity of a source: a hash of its first and last field, and its path."""
    inner = source
    while not hasattr(inner, "path") and hasattr(inner, "source"):
        inner = inner.source
    digest = hashlib.sha256()
    for field in source.read([0, len(source.time) - 1]):
        digest.update(np.ascontiguousarray(field).tobytes())
    origin = {"type": type(source).__name__, "fields": digest.hexdigest()[:16]}
    if hasattr(inner, "path"):
        path = Path(inner.path).resolve()
        origin = {"path": str(path), **origin}
    return origin


def region_identity(region: Any) -> Any:
    """Returns the record of a region: its bounds, path and fingerprint, or hash of its mask."""
    if isinstance(region, (str, os.PathLike)):
        path = Path(region)
        return (
            [str(path.resolve()), provenance.fingerprint(path)] if path.is_file() else str(region)
        )
    if np.ndim(region) == 2:
        return hashlib.sha256(np.ascontiguousarray(region).tobytes()).hexdigest()[:16]
    return ",".join(f"{float(value):g}" for value in region)
