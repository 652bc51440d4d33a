"""Time series of truth and candidates at named sites, with scores and figures."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import CHANNEL, HIGHER, LOWER, ZERO, Definition
from phire.evaluation.member_ranges import of_members
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import divided
from phire.fields.great_circle import great_circle_distance
from phire.fields.grid import Grid

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

VARIABLES = (
    Definition(
        "site_value", "Value at a site", "value of the grid point nearest to the site; of an "
        "ensemble the mean, with each member in site_member",
        CHANNEL,
    ),
    Definition("site_rmse", "Root mean square error at a site", "√⟨(x − y)²⟩ over time", CHANNEL,
               LOWER),
    Definition("site_bias", "Bias at a site", "⟨x − y⟩ over time", CHANNEL, ZERO),
    Definition("site_correlation", "Correlation at a site",
               "Pearson correlation of x and y over time", "1", HIGHER),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("sites", function="series_at_sites")
class SiteSeries(Statistic):
    """Time series at the grid points nearest to named sites, and scores over time."""

    order = 95
    definitions = VARIABLES
    summary = tuple((name, name) for name in ("site_rmse", "site_bias", "site_correlation"))
    series = ("times", "values", "truth", "members")
    member_ranges = ("site_value", "site_rmse", "site_bias", "site_correlation")
    ensemble = "together"
    noted_if_refused = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.names = list(setting.sites)
        self.rows, self.columns = nearest_points(setting.grid, setting.sites)

    @classmethod
    def applies_to(cls, setting: Setting) -> bool:
        """Applies to the whole grid only, not to regions."""
        return setting.domain.is_whole

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires named sites, and a grid with latitudes and longitudes."""
        if not setting.sites:
            return "no site is named: add --site NAME=LATITUDE,LONGITUDE"
        if not setting.grid.has_points:
            return "the grid has no latitudes and longitudes"
        return None

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns the values (n, C, S) of candidate and truth, and members (n, M, C, S)."""
        fields = truth if candidate is None else candidate

        def at_sites(planes: np.ndarray) -> np.ndarray:
            return planes[..., self.rows, self.columns].astype(np.float64)

        compared = np.asarray(float(candidate is not None))
        shared = {"times": truth.times, "truth": at_sites(truth.planes), "compared": compared}
        state = {"values": at_sites(fields.planes), **shared}
        if isinstance(fields, Ensemble):
            members = at_sites(fields.members)
            state |= {"members": members}
            state |= of_members([{"values": v, **shared} for v in np.moveaxis(members, 1, 0)])
        return state

    def result(self, state: State) -> xr.Dataset:
        """Returns ``site_value(channel, site, time)`` and scores over (channel, site)."""
        times, ordered = self.ordered(state)
        predicted, truth = (np.moveaxis(ordered[key], 0, -1) for key in ("values", "truth"))
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["time"] = self.time_coordinate(times)
        dataset["site"] = ("site", np.array(self.names, dtype=object))
        latitudes, longitudes = self.setting.grid.points()
        for name, places, units in (
            ("site_latitude", latitudes, "degrees_north"),
            ("site_longitude", longitudes, "degrees_east"),
        ):
            of_sites = np.broadcast_to(places, self.setting.grid.shape)[self.rows, self.columns]
            dataset[name] = ("site", of_sites, {"units": units, "long_name": "of the grid point"})
        dimensions = ("channel", "site", "time")
        dataset["site_value"] = (dimensions, predicted, self.units())
        if "members" in ordered:
            members = np.moveaxis(ordered["members"], 0, -1)
            dataset["site_member"] = (("member", *dimensions), members, self.units())
        error = predicted - truth
        both = np.isfinite(error)
        anomalies = [
            np.where(both, v, np.nan) - mean_of_present(np.where(both, v, np.nan), -1)[..., None]
            for v in (predicted, truth)
        ]
        x, y = (np.nan_to_num(values) for values in anomalies)
        correlation = divided((x * y).sum(-1), np.sqrt((x * x).sum(-1) * (y * y).sum(-1)))
        for name, values, units in (
            ("site_rmse", np.sqrt(mean_of_present(error**2, -1)), self.units()),
            ("site_bias", mean_of_present(error, -1), self.units()),
            ("site_correlation", correlation, {"units": "1"}),
        ):
            if state["compared"]:
                dataset[name] = (("channel", "site"), values, units)
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.label_text import readable
        from phire.evaluation.figures.results_reading import values_of
        from phire.evaluation.figures.site_plots import site_plans

        data = folder.metric(cls.name)
        for site in values_of(data, "site"):
            for channel in values_of(data, "channel"):
                yield from site_plans(
                    data, site, channel, folder.styles, "site", f"{site}: {readable(channel)}",
                    "At the nearest grid point.",
                )  # fmt: skip


def nearest_points(
    grid: Grid, sites: Mapping[str, tuple[float, float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows and the columns of the grid points nearest to sites.

    Args:
        grid: Grid of any kind whose points have latitudes and longitudes.
        sites: Latitude and longitude of each site in degrees, by name.

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
    """Returns latitude and longitude of each site in degrees, by name.

    Args:
        given: ``NAME=LATITUDE,LONGITUDE``, or paths of CSV files with the columns ``name``,
            ``latitude`` and ``longitude``.

    Raises:
        InputError: A text is neither, a column is missing, a number cannot be read, or a
            coordinate is out of range.
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
                f"--site {name}={latitude:g},{longitude:g}: give the latitude first, −90 to 90, "
                "then the longitude, −360 to 360."
            )
    return sites


def _read_sites(path: Path) -> dict[str, tuple[float, float]]:
    """Reads the sites of a CSV file; see :func:`parse_sites`."""
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
            f"{path} has no column {', '.join(missing)}: give a file with the columns name, "
            "latitude and longitude, and a row for each site."
        )
    try:
        return {row["name"]: (float(row["latitude"]), float(row["longitude"])) for row in rows}
    except (TypeError, ValueError):
        raise InputError(f"{path} holds a latitude or longitude that is no number.") from None
