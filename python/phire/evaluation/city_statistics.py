"""Distributions of the values at cities of over a million people, in squares of 1 to 9 points."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from phire import files
from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch
from phire.evaluation.cities import MARGIN, MARGIN_TEXT, cities_within, neighbourhoods
from phire.evaluation.definitions import CHANNEL, LOWER, Definition
from phire.evaluation.histograms import Bins, quantiles, wasserstein
from phire.evaluation.nan_statistics import median_of_present
from phire.evaluation.registry import statistic
from phire.evaluation.results import result_path
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import divided
from phire.fields.result_files import read_result

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

SIZES = (1, 2, 3)
"""Sides of the squares around each city, in grid points."""

LEVELS = (0.02, 0.09, 0.25, 0.5, 0.75, 0.91, 0.98)
"""Levels of the quantiles: those of the seven-number summary."""

BINS = 2048
"""Number of bins, from half the truth's range below its minimum to half of it above its maximum."""

CITY_COUNTS = "city_counts.csv"

VARIABLES = (
    Definition(
        "city_wasserstein", "Wasserstein-1 distance at cities",
        "∫ |F(v) − G(v)| dv of the values at the grid point nearest to a city, F and G the "
        "distribution functions of candidate and truth over time; median over the cities",
        CHANNEL, LOWER,
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("cities", function="cities_distribution")
class Cities(Statistic):
    """Quantiles and Wasserstein-1 distance of the values around each city, over time.

    Each square (1×1, 2×2, 3×3 points) has one distribution, of the values of all its points.
    """

    order = 60
    definitions = VARIABLES
    summary = (("wasserstein_median", "city_wasserstein"),)
    member_ranges = ("mean", "quantile_value", "wasserstein", "wasserstein_median")
    shared_by_members = ("truth",)

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        truth_moments = setting.truth_moments
        half = truth_moments.range / 2
        self.bins = Bins.between(truth_moments.minimum - half, truth_moments.maximum + half, BINS)
        self.cities = _cities(setting)
        self.squares = [
            neighbourhoods(setting.grid, self.cities, size=size)
            for size in SIZES
            if size <= min(setting.grid.shape)
        ]

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires coordinates, and cities within the domain."""
        if not setting.grid.has_coordinates:
            return "finding cities needs coordinates"
        return None if _cities(setting) else "no city of the list lies within the fields"

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns histograms (C, sizes, cities, bins) and sums (C, sizes, cities) of the values."""
        fields = truth if candidate is None else candidate
        shape = (truth.planes.shape[1], len(self.squares), len(self.cities))
        state = {"truth": np.zeros((*shape, BINS), np.uint32), "sum": np.zeros(shape)}
        if candidate is not None:
            state["own"] = np.zeros((*shape, BINS), np.uint32)
        for s, (rows, columns) in enumerate(self.squares):
            reference, predicted = (batch.planes[..., rows, columns] for batch in (truth, fields))
            both = np.isfinite(reference) & np.isfinite(predicted)
            for c in range(shape[0]):
                inside = both[:, c]
                city = np.nonzero(inside)[1]
                for key, values in (("truth", reference), ("own", predicted)):
                    if key in state:
                        chosen = values[:, c][inside]
                        np.add.at(state[key][c, s], (city, self.bins.places(chosen, c)), 1)
                sums = np.bincount(
                    city, predicted[:, c][inside].astype(np.float64), minlength=shape[2]
                )
                state["sum"][c, s] += sums
        return state

    def result(self, state: State) -> xr.Dataset:
        """Returns means, quantiles and Wasserstein-1 distances over (channel, size, city)."""
        histogram = state.get("own", state["truth"])
        dimensions = ("channel", "size", "city")
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["size"] = ("size", np.array(SIZES[: len(self.squares)]))
        dataset["city"] = ("city", np.array([city.name for city in self.cities], dtype=object))
        for name, values in (
            ("city_latitude", [city.latitude for city in self.cities]),
            ("city_longitude", [city.longitude for city in self.cities]),
            ("city_population", [city.population for city in self.cities]),
            ("country", np.array([city.country for city in self.cities], dtype=object)),
        ):
            dataset = dataset.assign_coords({name: ("city", np.asarray(values))})
        dataset["quantile"] = ("quantile", np.array(LEVELS))
        units = self.units()
        dataset["mean"] = (dimensions, divided(state["sum"], histogram.sum(-1)), units)
        values = np.empty((*histogram.shape[:-1], len(LEVELS)))
        for place in np.ndindex(*histogram.shape[:-1]):
            values[place] = quantiles(histogram[place], self.bins.edges[place[0]], np.array(LEVELS))
        dataset["quantile_value"] = ((*dimensions, "quantile"), values, units)
        if "own" in state:
            distance = wasserstein(histogram, state["truth"], self.bins.width[:, None, None])
            dataset["wasserstein"] = (dimensions, distance, units)
            dataset["wasserstein_median"] = (
                "channel",
                median_of_present(distance[:, 0], axis=-1),
                units,
            )
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.city_plots import (
            cities_with_values,
            city_distance_figure,
            city_map_figure,
            city_quantile_figure,
        )
        from phire.evaluation.figures.figure_plan import Plan, figure_name
        from phire.evaluation.figures.label_text import readable
        from phire.evaluation.figures.results_reading import has_values, values_of

        data = folder.metric("cities")
        if not has_values(data, "wasserstein"):
            return
        sizes = [int(size) for size in np.atleast_1d(values_of(data, "size"))]
        for channel in values_of(data, "channel"):
            yield Plan(
                figure_name("cities", channel),
                "cities",
                f"Distances of the distributions of {readable(channel)} at cities",
                "Share of the cities whose Wasserstein-1 distance to the truth is below the value "
                "on the horizontal axis, for the nearest grid point and for squares around the "
                "city. A curve further left is better.",
                functools.partial(
                    city_distance_figure, data, channel=channel, styles=folder.styles
                ),
                channel,
            )
            if has_values(data, "quantile_value", channel):
                title = f"Errors of the quantiles of {readable(channel)} at the largest cities"
                yield Plan(
                    figure_name("cities-quantiles", channel),
                    "cities",
                    title,
                    "Quantiles over time at the grid point nearest to the city, candidate minus "
                    "truth. The line at 0 is a perfect distribution.",
                    functools.partial(
                        city_quantile_figure, data, channel=channel, styles=folder.styles,
                        title=title,
                    ),
                    channel,
                )  # fmt: skip
            # A map of a single city adds nothing to the table.
            for size in sizes[:1] if cities_with_values(data, channel, sizes[0]) > 1 else []:
                yield Plan(
                    figure_name("cities-map", channel, f"{size}x{size}"),
                    "cities",
                    f"Best candidate for {readable(channel)} at each city",
                    "Colour of the candidate whose Wasserstein-1 distance to the truth is smaller "
                    f"than every other's by more than {MARGIN_TEXT}; grey where there is no such "
                    "candidate.",
                    functools.partial(
                        city_map_figure, data, channel=channel, size=size, styles=folder.styles
                    ),
                    channel,
                )


def _cities(setting: Setting) -> tuple:
    """Returns the cities whose nearest grid point lies in the domain."""
    found = cities_within(setting.grid)
    if setting.domain.is_whole:
        return found
    window = np.zeros(setting.grid.shape, dtype=bool)
    weights = np.broadcast_to(setting.domain.weights > 0, setting.domain.shape)
    window[
        np.ix_(np.arange(setting.grid.shape[0])[setting.domain.rows], setting.domain.columns)
    ] = weights
    places = [setting.grid.nearest(city.latitude, city.longitude) for city in found]
    return tuple(city for city, place in zip(found, places) if window[place])


def count_cities(
    output: str | os.PathLike, candidates: Mapping[str, object], margin: float = MARGIN
) -> pd.DataFrame | None:
    """Writes, as CSV, at how many cities each candidate is better than each other candidate.

    A candidate with the Wasserstein-1 distance d is better at a city than another with the
    distance e if d < (1 − margin) e, worse if e < (1 − margin) d, and equal otherwise.

    Args:
        output: The results folder, to which ``city_counts.csv`` is written.
        candidates: Candidates by name, in the order of the table.
        margin: Relative margin, between 0 and 1.

    Returns:
        A table with one row for each ordered pair of candidates, channel and size, and the columns
        ``candidate, other, channel, size, better, equal, worse``; None where cities were not
        evaluated.
    """
    found = {
        name: read_result(path)["wasserstein"]
        for name in candidates
        if (path := result_path(output, name, "cities")).is_file()
    }
    rows = []
    for name, distance in found.items():
        for other, other_distance in found.items():
            if other == name:
                continue
            better = (distance < (1 - margin) * other_distance).sum("city")
            worse = (other_distance < (1 - margin) * distance).sum("city")
            known = (np.isfinite(distance) & np.isfinite(other_distance)).sum("city")
            for channel in distance["channel"].values:
                for size in distance["size"].values:
                    at = {"channel": channel, "size": size}
                    counts = [int(values.sel(at)) for values in (better, worse, known)]
                    rows.append(
                        {
                            "candidate": name,
                            "other": other,
                            **at,
                            "better": counts[0],
                            "equal": counts[2] - counts[0] - counts[1],
                            "worse": counts[1],
                        }
                    )
    if not rows:
        return None
    table = pd.DataFrame(rows)
    files.write_text(Path(output) / CITY_COUNTS, table.to_csv(index=False))
    return table
