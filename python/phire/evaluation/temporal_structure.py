"""Temporal structure: autocorrelation, trends, and return levels of maxima.

``tests/evaluation/test_temporal_structure.py`` checks trends against ``numpy.polyfit``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch
from phire.evaluation.definitions import CHANNEL, ONE, ZERO, Definition
from phire.evaluation.nan_statistics import greatest_present
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.registry import statistic
from phire.evaluation.return_levels import (
    PERIODS,
    YEAR,
    blocks_of_maxima,
    return_levels_with_intervals,
)
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

POINTS = 1000
"""Approximate largest number of points with time series; larger grids skip rows and columns."""

FEWEST = 30
"""Smallest number of times."""

VARIABLES = (
    Definition(
        "lag_autocorrelation", "Autocorrelation at lag 1",
        "correlation of values one time step apart, mean over points", "1",
    ),
    Definition(
        "lag_autocorrelation_difference", "Difference of the autocorrelation at lag 1",
        "autocorrelation at lag 1 of the candidate minus that of the truth", "1", ZERO,
    ),
    Definition(
        "trend", "Trend", "slope of the least-squares line over time, per ten years, mean over "
        "points", CHANNEL,
    ),
    Definition(
        "trend_difference", "Difference of trends", "trend of the candidate minus that of the "
        "truth, per ten years", CHANNEL, ZERO,
    ),
    Definition(
        "return_level", "Return level of the field's maximum",
        "quantile 1 − 1/p of the generalised extreme-value distribution of block maxima, p the "
        "period in blocks (years, or equal blocks of 10 times or more), fitted by L-moments; "
        "interval: 95 % of 200 bootstraps of blocks", CHANNEL, "",
        "Hosking (1990), doi:10.1111/j.2517-6161.1990.tb01775.x",
    ),
    Definition(
        "return_level_ratio", "Return level over the truth's", "return level of the candidate for "
        "a period of ten blocks, divided by the truth's", "1", ONE,
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("temporal", function="temporal_statistics")
class TemporalStructure(Statistic):
    """Autocorrelation at lag 1, trends, and return levels of the field's maximum.

    Autocorrelation and trend are computed at about 1000 evenly spaced points and averaged with area
    weights, over times at which truth and candidate both have values. Steps across gaps of the time
    axis are left out. For an ensemble, the statistics of the members are averaged.
    """

    order = 78
    definitions = VARIABLES
    summary = (
        ("lag_autocorrelation_difference", "lag_autocorrelation_difference"),
        ("trend_difference", "trend_difference"),
        ("return_level_ratio", "return_level_ratio"),
    )
    series = ("times", "values", "truth", "greatest", "greatest_truth")
    noted_if_refused = False
    member_ranges = (
        "lag_autocorrelation", "trend", "return_level",
        *(variable for variable, _ in summary),
    )  # fmt: skip

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        height, width = self.domain.shape
        step = max(1, int(np.ceil(np.sqrt(height * width / POINTS))))
        self._place = (slice(None, None, step), slice(None, None, step))
        weights = np.broadcast_to(self.domain.weights, self.domain.shape)
        self._weights = np.array(weights[self._place].ravel(), np.float64)

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires at least :data:`FEWEST` times."""
        if len(setting.time) < FEWEST:
            return f"structure in time needs at least {FEWEST} times"
        return None

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns the values at the points (n, C, P), and the maximum of each field (n, C)."""
        fields = truth if candidate is None else candidate
        mask = joint_mask(self.domain, truth, fields)

        def of_truth() -> tuple[np.ndarray, np.ndarray]:
            return self._chosen(truth, mask)

        # Where no value is missing, the truth's values are the same for all members.
        once = truth.once(("temporal", self.domain), of_truth) if mask is None else of_truth()
        values, greatest = self._chosen(fields, mask)
        return {
            "times": truth.times,
            "values": values,
            "greatest": greatest,
            "truth": once[0],
            "greatest_truth": once[1],
        }

    def _chosen(self, batch: Batch, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Returns the values at the points (n, C, P), and the maximum of each field (n, C)."""
        planes, inside = self.domain.cut(batch.planes), self.domain.weights > 0
        inside = inside if mask is None else inside & mask
        planes = planes if inside.all() else np.where(inside, planes, np.nan)
        points = planes[(..., *self._place)]
        greatest = greatest_present(planes, (-2, -1)).astype(np.float64)
        return points.reshape(*points.shape[:2], -1).copy(), greatest

    def result(self, state: State) -> xr.Dataset:
        """Returns statistics by channel, differences from the truth, and levels by period."""
        order = np.argsort(state["times"], kind="stable")
        times, members = np.unique(state["times"], return_counts=True)
        setting = self.setting
        moments = setting.time.values[times].astype(np.float64)

        def sorted_by_time(key: str) -> np.ndarray:
            values = np.asarray(state[key], np.float64)[order]
            return values.reshape(len(times), members[0], *values.shape[1:])

        dataset = xr.Dataset(coords=self.coordinates("channel"))
        blocks = blocks_of_maxima(setting.time[times])
        stated = {}
        if blocks is not None:
            stated = {"block_length": blocks.length, "block_count": blocks.count}
        unit = "years" if blocks is not None and blocks.in_years else "blocks"
        dataset["period"] = ("period", np.array(PERIODS), {"units": unit, **stated})
        found = {}
        for ending, key in (("", "values"), ("_truth", "truth")):
            values = sorted_by_time(key)
            found[f"lag_autocorrelation{ending}"] = self._mean(lag_one(values, moments))
            found[f"trend{ending}"] = self._mean(trends(values, moments)) * 10 * YEAR
            # Levels of the members are averaged: the ensemble mean has fewer extremes than members.
            greatest = np.moveaxis(sorted_by_time(f"greatest{ending}"), 1, 0)
            levels = [return_levels_with_intervals(one, blocks, setting.seed) for one in greatest]
            found[f"return_level{ending}"] = np.mean(levels, axis=0)
        if not setting.time.has_calendar:
            for key in ("trend", "trend_truth"):
                found[key] = np.full_like(found[key], np.nan)
        units = {"lag_autocorrelation": {"units": "1"}, "trend": self.units()}
        for name, unit in units.items():
            dataset[name] = ("channel", found[name], unit)
            gap = found[name] - found[f"{name}_truth"]
            dataset[f"{name}_difference"] = ("channel", gap, unit)
        levels, true_levels = found["return_level"], found["return_level_truth"]
        for ending, values in zip(("", "_low", "_high"), levels):
            dataset[f"return_level{ending}"] = (
                ("channel", "period"), values, {**self.units(), **stated},
            )  # fmt: skip
        ten = PERIODS.index(10.0)
        ratio = divided(levels[0][:, ten], true_levels[0][:, ten])
        dataset["return_level_ratio"] = ("channel", ratio, {"units": "1"})
        return dataset

    def _mean(self, values: np.ndarray) -> np.ndarray:
        """Returns the mean (C,) over members and points of values (M, C, P), weighted by area."""
        present = np.isfinite(values)
        weights = present * self._weights
        return divided((np.where(present, values, 0) * weights).sum((0, 2)), weights.sum((0, 2)))

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.curve_plots import Panel, channel_plans

        # All regions and candidates have the same times, hence the same blocks.
        regions = folder.regions_of(cls.name)
        results = list(folder.metric(cls.name, regions[0]).values()) if regions else []
        period = results[0]["period"].attrs if results else {}
        panel = Panel(
            "", "return_level", "period", f"Period ({period.get('units', 'blocks')})",
            "Return level", logarithmic="x", band=("return_level_low", "return_level_high"),
        )  # fmt: skip
        length, count = period.get("block_length"), period.get("block_count")
        stated = f" A block is {length}; there are {count} blocks." if length else ""
        yield from channel_plans(
            folder, cls.name, [panel], "distributions", "Return levels of the maximum",
            "Level that the field's maximum exceeds once in a period on average, by the "
            "generalised extreme-value distribution of block maxima. Bands: 95 % intervals."
            f"{stated}",
        )  # fmt: skip


def lag_one(values: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Returns the correlation (...) of values one time step apart.

    It is NaN for a constant series, and for a single time.

    Args:
        values: (T, ...) series.
        moments: (T,) times; steps longer than the shortest are gaps and left out.
    """
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    steps = np.diff(moments)
    at = np.flatnonzero(steps == steps.min())
    first, second = values[at], values[at + 1]
    both = np.isfinite(first) & np.isfinite(second)
    count = both.sum(0)
    first, second = (
        np.where(both, v - divided(np.where(both, v, 0).sum(0), count), 0) for v in (first, second)
    )
    scatter = np.sqrt((first**2).sum(0) * (second**2).sum(0))
    return divided((first * second).sum(0), scatter)


def trends(values: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Returns the least-squares slope (...) of values (T, ...) per unit of ``moments``."""
    present = np.isfinite(values)
    time = np.broadcast_to(moments.reshape(-1, *(1,) * (values.ndim - 1)), values.shape)
    count = present.sum(0)
    time, values = (
        np.where(present, v - divided(np.where(present, v, 0).sum(0), count), 0)
        for v in (time, values)
    )
    return divided((time * values).sum(0), (time**2).sum(0))
