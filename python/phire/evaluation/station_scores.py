"""Scores of candidates and gridded truth against station observations."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.crps import crps
from phire.evaluation.definitions import CHANNEL, HIGHER, LOWER, ZERO, Definition
from phire.evaluation.member_ranges import of_members
from phire.evaluation.member_sorting import sorted_members
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import divided
from phire.fields.interpolation import scattered_map

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

DRAWN = 6
"""Largest number of stations whose time series are drawn."""

VARIABLES = (
    Definition(
        "station_rmse", "Root mean square error at stations",
        "√⟨(x − o)²⟩ over the times with an observation o, x the value at the nearest grid point "
        "or interpolated bilinearly; _mean: mean over stations", CHANNEL, LOWER,
    ),
    Definition("station_mae", "Mean absolute error at stations", "⟨|x − o|⟩ over time", CHANNEL,
               LOWER),
    Definition("station_bias", "Bias at stations", "⟨x − o⟩ over time", CHANNEL, ZERO),
    Definition(
        "station_correlation", "Correlation at stations",
        "Pearson correlation of x and o over time", "1", HIGHER,
    ),
    Definition(
        "station_crps_fair", "Fair CRPS at stations",
        "⟨E|X − o| − ½ E|X − X′|⟩ over time, X a member, X′ another member", CHANNEL, LOWER,
        "Ferro (2014), doi:10.1002/qj.2270",
    ),
    Definition(
        "height_difference", "Height of the grid minus that of the station",
        "orography interpolated like the values, minus the station's height", "m",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""

SCORES = ("station_rmse", "station_mae", "station_bias", "station_correlation", "station_crps_fair")

ENDINGS = ("", "_mean")


@statistic("stations", function="scores_at_stations")
class StationScores(Statistic):
    """Errors against station observations, of the candidates and of the gridded truth.

    Fields are interpolated to the stations from the nearest grid point or bilinearly
    (``setting.stations.points``). Values are not corrected for height; the result holds the height
    difference of grid and station. For an ensemble, the mean is scored, and the fair CRPS is that
    of the members.
    """

    order = 96
    definitions = VARIABLES
    summary = tuple((f"{name}_mean", name) for name in SCORES)
    series = ("times", "values", "crps", "members")
    member_ranges = ("station_value", *(f"{name}{end}" for name in SCORES[:4] for end in ENDINGS))
    ensemble = "together"
    noted_if_refused = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        table = setting.stations.table
        self.map, _ = scattered_map(
            setting.grid, table.latitudes, table.longitudes, setting.stations.points
        )

    @classmethod
    def applies_to(cls, setting: Setting) -> bool:
        """Applies to the whole grid only, not to regions."""
        return setting.domain.is_whole

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires station observations."""
        return None if setting.stations else "no observations are given: add --stations FILE.csv"

    def _at(self, planes: np.ndarray) -> np.ndarray:
        """Returns planes (..., C, H, W) interpolated to the stations, (..., S, C)."""
        fields = np.moveaxis(planes, -3, -1)
        return self.map(fields.reshape(-1, *fields.shape[-3:])).reshape(
            *fields.shape[:-3], *self.map.shape, fields.shape[-1]
        )

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns values and fair CRPS (n, S, C) at the stations, and members (n, M, S, C)."""
        fields = truth if candidate is None else candidate
        values = self._at(fields.planes)
        unknown = np.full(values.shape, np.nan)
        state = {"times": truth.times, "values": values, "crps": unknown}
        if isinstance(fields, Ensemble):
            members = self._at(fields.members)
            each = np.moveaxis(members, 1, 0)
            observed = self.setting.stations.observed[truth.times]
            state |= {"crps": crps(sorted_members(each - observed))[1], "members": members}
            shared = {"times": truth.times, "crps": unknown}
            state |= of_members([{"values": member, **shared} for member in each])
        return state

    def result(self, state: State) -> xr.Dataset:
        """Returns ``station_value(channel, station, time)``, and scores over (channel, station)."""
        times, ordered = self.ordered(state)
        given = self.setting.stations
        dataset = xr.Dataset(coords=self.coordinates("channel"), attrs={"points": given.points})
        dataset["time"] = self.time_coordinate(times)
        dataset["station"] = ("station", np.array(given.table.names, dtype=object))
        self._add_places(dataset)
        dimensions = ("channel", "station", "time")
        observed, crps_fair = (
            v.transpose(2, 1, 0) for v in (given.observed[times], ordered["crps"])
        )
        value = ordered["values"].transpose(2, 1, 0)
        dataset["station_observed"] = (dimensions, observed, self.units())
        dataset["station_value"] = (dimensions, value, self.units())
        if "members" in ordered:
            members = ordered["members"].transpose(1, 3, 2, 0)
            dataset["station_member"] = (("member", *dimensions), members, self.units())
        for name, score in zip(
            SCORES, (*pair_scores(value, observed), mean_of_present(crps_fair, -1))
        ):
            if not np.isfinite(score).any():
                continue
            units = {"units": "1"} if name == "station_correlation" else self.units()
            dataset[name] = (("channel", "station"), score, units)
            dataset[f"{name}_mean"] = ("channel", mean_of_present(score, -1), units)
        return dataset

    def _add_places(self, dataset: xr.Dataset) -> None:
        """Adds latitude, longitude and elevation of the stations, and the height difference."""
        given = self.setting.stations
        places = [
            ("station_latitude", given.table.latitudes, "degrees_north"),
            ("station_longitude", given.table.longitudes, "degrees_east"),
            ("station_elevation", given.table.elevations, "m"),
        ]
        if given.orography is not None:
            difference = given.orography - given.table.elevations
            places.append(("height_difference", difference, "m"))
        for name, values, units in places:
            if np.isfinite(values).any():
                dataset[name] = ("station", values, {"units": units})

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.figure_plan import Plan, figure_name
        from phire.evaluation.figures.label_text import readable
        from phire.evaluation.figures.results_reading import has_values, values_of
        from phire.evaluation.figures.site_plots import site_plans
        from phire.evaluation.figures.station_plots import (
            as_sites,
            observation_styles,
            station_figure,
        )

        data = folder.metric(cls.name)
        for channel in values_of(data, "channel"):
            if not has_values(data, "station_rmse", channel):
                continue
            yield Plan(
                figure_name(cls.name, channel),
                "sites",
                f"Errors of {readable(channel)} at stations",
                "Errors against observations. Black: the gridded truth, which a candidate that was "
                "trained on it is not expected to beat. Where heights are known, a slope of the "
                "bias over the height difference is the part that height explains.",
                functools.partial(station_figure, data, channel=channel, styles=folder.styles),
                channel,
            )
            for station in values_of(data, "station")[:DRAWN]:
                title = f"{station}: {readable(channel)} against observations"
                yield from site_plans(
                    as_sites(data), station, channel, observation_styles(folder.styles),
                    "station", title, "Black: observed; grey: the gridded truth.",
                )  # fmt: skip


def pair_scores(values: np.ndarray, observed: np.ndarray) -> list[np.ndarray]:
    """Returns RMSE, MAE, bias and Pearson correlation (...) over the last axis.

    Times at which one of the values is NaN are left out.

    Args:
        values: (..., T) values of the field.
        observed: (..., T) observations.
    """
    error = values - observed
    both = np.isfinite(error)
    x, y = (np.where(both, series, np.nan) for series in (values, observed))
    x, y = (np.nan_to_num(s - mean_of_present(s, -1)[..., None]) for s in (x, y))
    return [
        np.sqrt(mean_of_present(error**2, -1)),
        mean_of_present(np.abs(error), -1),
        mean_of_present(error, -1),
        divided((x * y).sum(-1), np.sqrt((x * x).sum(-1) * (y * y).sum(-1))),
    ]
