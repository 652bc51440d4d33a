"""Setting of the statistics, from an aligned truth and the arguments of ``evaluate``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phire.errors import InputError
from phire.evaluation.domain import Domain
from phire.evaluation.pairing import AlignedSource
from phire.evaluation.setting import Setting
from phire.evaluation.station_observations import read_observations
from phire.fields.source import Source


def aligned_setting(
    truth: AlignedSource,
    domain: Domain,
    *,
    lags: Sequence[float],
    thresholds: Mapping[str, Sequence[float]] | None = None,
    sites: Mapping[str, tuple[float, float]] | None = None,
    stations: str | os.PathLike | None = None,
    station_points: str = "nearest",
    orography: Source | None = None,
    **further: Any,
) -> Setting:
    """Returns the setting of the statistics, without the truth's moments, which are measured later.

    Args:
        truth: The truth, aligned with the candidates.
        domain: Points over which the statistics are computed.
        lags: Separations of semivariograms, km.
        thresholds, sites, stations, station_points, orography: See
            :func:`phire.evaluation.evaluate`.
        further: Further attributes of :class:`Setting`, passed on unchanged.

    Raises:
        InputError: ``thresholds`` names an unknown channel, or the observations cannot be read.
    """
    return Setting(
        domain,
        truth.channels,
        truth.units,
        truth.time,
        lags=tuple(map(float, lags)),
        standard_names=truth.standard_names,
        thresholds=_checked_thresholds(thresholds or {}, truth.channels),
        sites=dict(sites or {}),
        stations=read_observations(stations, truth, points=station_points, orography=orography),
        **further,
    )


def _checked_thresholds(
    thresholds: Mapping[str, Sequence[float]], channels: Sequence[str]
) -> dict[str, tuple[float, ...]]:
    """Returns the thresholds of each channel, ascending and without repeats.

    Raises:
        InputError: A channel is unknown, or a threshold is no number.
    """
    for name, found in thresholds.items():
        if name not in channels:
            raise InputError(
                f"--thresholds {name}: the truth has no such channel; it has {', '.join(channels)}."
            )
        if not np.isfinite(list(found)).all():
            raise InputError(f"--thresholds {name}: every threshold must be a finite number.")
    return {name: tuple(sorted(map(float, set(found)))) for name, found in thresholds.items()}
