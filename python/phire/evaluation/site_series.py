"""Time series at named places, of truth and candidates, with scores and figures."""

from __future__ import annotations

import csv
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.evaluation.accumulator import Batch, Ensemble, Setting, State, Statistic
from phire.evaluation.definitions import CHANNEL, HIGHER, LOWER, ZERO, Definition
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.registry import statistic
from phire.evaluation.spectral_scores import divided
from phire.fields.great_circle import great_circle_distance
from phire.fields.grid import Grid

if TYPE_CHECKING:
    from phire.evaluation.figures.plan import Plan
    from phire.evaluation.figures.reading import ResultsFolder

VARIABLES = (
    Definition(
        "site_value", "Value at a site", "of the grid point nearest to the site; of an ensemble "
        "the mean, and in site_value_low and site_value_high the least and greatest member",
        CHANNEL,
    ),
    Definition("site_rmse", "Root mean square error at a site", "√⟨(x − y)²⟩ over time", CHANNEL,
               LOWER),
    Definition("site_bias", "Bias at a site", "⟨x − y⟩ over time", CHANNEL, ZERO),
    Definition("site_correlation", "Correlation at a site", "of x and y over time", "1", HIGHER),
)  # fmt: skip
"""Variables of the result that people look at."""


@statistic("sites", function="series_at_sites")
class SiteSeries(Statistic):
    """Values at the grid points nearest to named sites, at all times, and their scores."""

    order = 95
    definitions = VARIABLES
    summary = tuple((name, name) for name in ("site_rmse", "site_bias", "site_correlation"))
    series = ("times", "values", "truth")
    ensemble = "mean"
    noted_if_refused = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.names = list(setting.sites)
        self.rows, self.columns = nearest_points(setting.grid, setting.sites)

    @classmethod
    def takes(cls, setting: Setting) -> bool:
        """Sites belong to the whole grid."""
        return setting.domain.is_whole

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Reason why there is no series: no sites, or a grid without coordinates."""
        if not setting.sites:
            return "no site is named: add --site NAME=LATITUDE,LONGITUDE"
        if not setting.grid.has_points:
            return "the grid has no latitudes and longitudes"
        return None

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """(n, C, S, 3) values (mean, least and greatest of members), and (n, C, S) of the truth."""
        fields = truth if candidate is None else candidate
        values = fields.planes[..., self.rows, self.columns].astype(np.float64)
        ends = [values, values]
        if isinstance(fields, Ensemble):
            members = fields.members[..., self.rows, self.columns]
            ends = [members.min(1), members.max(1)]
        return {
            "times": truth.times,
            "values": np.stack([values, *ends], -1),
            "truth": truth.planes[..., self.rows, self.columns].astype(np.float64),
        }

    def result(self, state: State) -> xr.Dataset:
        """``site_value(channel, site, time)`` and scores over (channel, site)."""
        times, ordered = self.ordered(state)
        own, truth = np.moveaxis(ordered["values"], 0, -2), np.moveaxis(ordered["truth"], 0, -1)
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["time"] = self.time_coordinate(times)
        dataset["site"] = ("site", np.array(self.names, dtype=object))
        latitudes, longitudes = self.setting.grid.points()
        for name, places, units in (
            ("site_latitude", latitudes, "degrees_north"),
            ("site_longitude", longitudes, "degrees_east"),
        ):
            there = np.broadcast_to(places, self.setting.grid.shape)[self.rows, self.columns]
            dataset[name] = ("site", there, {"units": units, "long_name": "of the grid point"})
        dimensions = ("channel", "site", "time")
        dataset["site_value"] = (dimensions, own[..., 0], self.units())
        if not np.array_equal(own[..., 1], own[..., 2], equal_nan=True):
            dataset["site_value_low"] = (dimensions, own[..., 1], self.units())
            dataset["site_value_high"] = (dimensions, own[..., 2], self.units())
        error = own[..., 0] - truth
        both = np.isfinite(error)
        anomalies = [
            np.where(both, v, np.nan) - mean_of_present(np.where(both, v, np.nan), -1)[..., None]
            for v in (own[..., 0], truth)
        ]
        x, y = (np.nan_to_num(values) for values in anomalies)
        correlation = divided((x * y).sum(-1), np.sqrt((x * x).sum(-1) * (y * y).sum(-1)))
        for name, values, units in (
            ("site_rmse", np.sqrt(mean_of_present(error**2, -1)), self.units()),
            ("site_bias", mean_of_present(error, -1), self.units()),
            ("site_correlation", correlation, {"units": "1"}),
        ):
            if not np.array_equal(own[..., 0], truth, equal_nan=True):
                dataset[name] = (("channel", "site"), values, units)
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures that a folder of results gives; see :class:`Statistic`."""
        from phire.evaluation.figures.plan import Plan, figure_name
        from phire.evaluation.figures.reading import values_of
        from phire.evaluation.figures.sites import has_groups, site_box_figure, site_figure
        from phire.evaluation.figures.style import readable

        data = folder.metric(cls.name)
        grouped = any(has_groups(dataset["time"]) for dataset in data.values())
        for site in values_of(data, "site"):
            for channel in values_of(data, "channel"):
                title = f"{site}: {readable(channel)}"
                yield Plan(
                    figure_name("site", site, channel),
                    "sites",
                    title,
                    "At the nearest grid point: values, errors (band: all members), candidate "
                    "against truth, and distributions by hour, month or season (box: 25–75 %, "
                    "whiskers: 5–95 %).",
                    functools.partial(
                        site_figure, data, site=site, channel=channel, styles=folder.styles,
                        title=title,
                    ),
                    channel,
                )  # fmt: skip
                if grouped:
                    yield Plan(
                        figure_name("site-boxes", site, channel),
                        "sites",
                        f"{title} by hour, month and season",
                        "Box: 25–75 %, thick line: median, whiskers: 5–95 %.",
                        functools.partial(
                            site_box_figure, data, site=site, channel=channel,
                            styles=folder.styles, title=title,
                        ),
                        channel,
                    )  # fmt: skip


def nearest_points(
    grid: Grid, sites: Mapping[str, tuple[float, float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns row and column of the grid point nearest to each site, on any grid.

    Args:
        grid: With latitudes and longitudes of its points.
        sites: Latitude and longitude in degrees by name.

    Raises:
        InputError: A site lies outside the grid.
    """
    latitudes, longitudes = (np.broadcast_to(places, grid.shape) for places in grid.points())
    reach = 1.5 * max(grid.spacing_km())
    rows, columns = [], []
    for name, (latitude, longitude) in sites.items():
        distances = great_circle_distance(latitudes, longitudes, latitude, longitude)
        row, column = np.unravel_index(int(np.argmin(distances)), grid.shape)
        if distances[row, column] / 1e3 > reach:
            raise InputError(
                f"--site {name}={latitude:g},{longitude:g} lies outside the data "
                f"({grid.describe()})."
            )
        rows.append(int(row))
        columns.append(int(column))
    return np.array(rows, int), np.array(columns, int)


def parse_sites(given: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Returns latitude and longitude of sites by name.

    Args:
        given: ``NAME=LATITUDE,LONGITUDE``, or paths of CSV files with the columns ``name``,
            ``latitude`` and ``longitude``.

    Raises:
        InputError: A text is neither, a column is missing, or a number cannot be read.
    """
    sites: dict[str, tuple[float, float]] = {}
    for text in given:
        name, separator, numbers = text.partition("=")
        if not separator:
            sites |= _read_sites(Path(text))
            continue
        try:
            latitude, longitude = (float(number) for number in numbers.split(","))
        except ValueError:
            raise InputError(
                f"--site {text}: give NAME=LATITUDE,LONGITUDE in degrees, or a CSV file."
            ) from None
        sites[name] = (latitude, longitude)
    for name, (latitude, longitude) in sites.items():
        if not (-90 <= latitude <= 90 and -360 <= longitude <= 360):
            raise InputError(
                f"--site {name}={latitude:g},{longitude:g}: latitudes are −90 … 90, longitudes "
                "−180 … 360; the latitude comes first."
            )
    return sites


def _read_sites(path: Path) -> dict[str, tuple[float, float]]:
    """The sites of a CSV file."""
    if not path.is_file():
        raise InputError(
            f"--site {os.fspath(path)} is neither NAME=LATITUDE,LONGITUDE nor a CSV file."
        )
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = ("name", "latitude", "longitude")
    missing = [column for column in columns if not rows or column not in rows[0]]
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(missing)}: a file of sites has the columns name, "
            "latitude and longitude, and a row a site."
        )
    try:
        return {row["name"]: (float(row["latitude"]), float(row["longitude"])) for row in rows}
    except (TypeError, ValueError):
        raise InputError(f"{path} holds a latitude or longitude that is no number.") from None
