"""Setting of statistics: domain, channels, times, options, and the moments of the truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from phire.evaluation.domain import Domain
from phire.evaluation.nan_statistics import quantile_of_present
from phire.evaluation.wind import WindChannels, find_wind
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.time_axis import TimeAxis

if TYPE_CHECKING:
    from phire.evaluation.station_observations import StationObservations

LAGS = (25.0, 50.0, 100.0, 200.0, 300.0, 500.0, 1000.0)
"""Default lags of the semivariogram, km."""


@dataclasses.dataclass(frozen=True, eq=False)
class TruthMoments:
    """Range, moments and climatology of the truth within a domain.

    Attributes:
        minimum, maximum: (C,) extremes over all times and points.
        mean: (C,) area-weighted mean over all times.
        variance: (C,) mean over time of the area-weighted variance in space.
        total_variance: (C,) variance over time and space about ``mean``.
        sample: (k, C) values drawn at random with probabilities proportional to area, from which
            quantiles are computed.
        climatology: (G, C, H, W) climatology on the whole grid, by group of times; without a given
            climatology the time mean of the truth (G = 1). None before it is known.
        groups: (T,) index of the group of each time.
    """

    minimum: np.ndarray
    maximum: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    total_variance: np.ndarray
    sample: np.ndarray
    climatology: np.ndarray | None = None
    groups: np.ndarray | None = None

    @property
    def range(self) -> np.ndarray:
        """Range (C,), maximum − minimum."""
        return self.maximum - self.minimum

    def quantiles(self, levels: Any) -> np.ndarray:
        """Returns the quantiles (k, C) of the truth at ``levels`` (k,)."""
        return quantile_of_present(self.sample, np.asarray(levels), axis=0)


@dataclasses.dataclass(frozen=True, eq=False)
class Setting:
    """Setting of the statistics: domain, channels, times, moments of the truth, and options.

    Attributes:
        domain: Points over which statistics are computed.
        channels, units: Names and units of the channels.
        time: Times of the evaluation.
        truth_moments: Moments of the truth in this domain; None before they are known.
        scale: Number of fine points per coarse point along each axis; None if not given.
        seed: Seed of all random draws.
        radius: Radius of the sphere, m.
        threads: Number of threads of transforms.
        lags: Lags of semivariograms, km.
        pairs: Pairs of points of semivariograms, for each lag and field.
        directional: True if semivariograms are computed by direction as well.
        named_wind: Channels of the eastward and northward wind; None means to detect them.
        standard_names: CF standard names of the channels, empty where unknown.
        learned: Callables ``distance`` and ``features`` of a learned metric, by name.
        thresholds: Thresholds of events by channel, in the channel's units.
        sites: Latitude and longitude of sites in degrees, by name.
        stations: Station observations; None without stations.
        grouped: Names of the statistics computed by groups of times; the default set if empty.
    """

    domain: Domain
    channels: tuple[str, ...]
    units: tuple[str, ...]
    time: TimeAxis
    truth_moments: TruthMoments | None = None
    scale: int | None = None
    seed: int = 0
    radius: float = EARTH_RADIUS
    threads: int = 1
    lags: tuple[float, ...] = LAGS
    pairs: int = 300
    directional: bool = True
    named_wind: tuple[str, str] | None = None
    standard_names: tuple[str, ...] | None = None
    learned: Mapping[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)
    thresholds: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    sites: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    stations: StationObservations | None = None
    grouped: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """The whole grid, of which the domain is a part."""
        return self.domain.grid

    @property
    def wind(self) -> WindChannels | None:
        """Channels of the wind, for kinetic energy; None if no channels are wind."""
        return find_wind(self.channels, self.units, self.standard_names, self.named_wind)
