"""Standardised anomalies: deviations from a climatology of each point and season.

An optional second step of normalization, which depends on the point and the day of the year. It
follows :class:`phire.fields.normalization.Normalization`: the climatology is fitted to the
normalised values. With ``log:0.1`` and ``--statistics-of point``, for example, log(x + 0.1) is
standardised by its mean and standard deviation at each point.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from phire.errors import InputError
from phire.fields.channel_values import values_by_channel
from phire.fields.climatologies import STATISTICS_OF, Climatology
from phire.fields.climatology_fit import fit_climatology
from phire.fields.grid import Grid
from phire.fields.guarded_file import GuardedHDF5
from phire.fields.normalization import Normalization
from phire.fields.selection import ChannelSelection
from phire.fields.source import Source
from phire.fields.time_axis import TimeAxis
from phire.records.grid_points import matching_points
from phire.records.pixel_arrays import Layer, SampleFields

NAME = "climatologies.h5"
MOST_HARMONICS = 6


@dataclasses.dataclass(frozen=True)
class Choice:
    """Kind of climatology of one channel.

    Attributes:
        statistics_of: ``domain`` (one value for all points), ``point`` or ``mean-of-points``.
        harmonics: Number of harmonics of the day of the year; 0 for no seasonal cycle.
    """

    statistics_of: str = "domain"
    harmonics: int = 0

    @property
    def plain(self) -> bool:
        """True if the channel has no climatology, only its normalization."""
        return self == Choice()


def parse_choices(
    statistics_of: str | None, seasonal: str | int | None, channels: Sequence[str]
) -> dict[str, Choice]:
    """Returns the kind of climatology of each channel.

    Args:
        statistics_of: ``domain``, ``point`` or ``mean-of-points`` for all channels, then
            ``NAME=…`` for those that differ, as in ``point,pr=domain``.
        seasonal: Number of harmonics, from 0 to 6, for all channels, then ``NAME=…`` for
            those that differ, as in ``2,pr=0``.
        channels: Names of the channels.

    Raises:
        InputError: A value is not allowed, or a name is not a channel.
    """
    kinds = values_by_channel("--statistics-of", statistics_of or "domain", channels, "domain")
    for value in kinds.values():
        if value not in STATISTICS_OF:
            raise InputError(
                f"--statistics-of {statistics_of}: {value!r} must be one of "
                f"{', '.join(STATISTICS_OF)}."
            )
    harmonics = values_by_channel("--seasonal", 0 if seasonal is None else seasonal, channels, "0")
    for value in harmonics.values():
        if not (value.isdecimal() and int(value) <= MOST_HARMONICS):
            raise InputError(
                f"--seasonal {seasonal}: {value!r} must be a number of harmonics from 0 to "
                f"{MOST_HARMONICS}."
            )
    return {name: Choice(kinds[name], int(harmonics[name])) for name in channels}


@dataclasses.dataclass(frozen=True, eq=False)
class Anomalies:
    """Climatologies of one array, fitted to its normalised values.

    Attributes:
        channels: Channels of the array, in order.
        parts: Climatologies, each of some of the channels. Channels in none of them are only
            normalised.
    """

    channels: tuple[str, ...]
    parts: tuple[Climatology, ...]

    def moments(self, time: TimeAxis) -> tuple[np.ndarray, np.ndarray]:
        """Returns the mean and the standard deviation at n times, each (n, h, w, C) float32.

        h and w are 1 if no channel has statistics of each point. At points without training data
        the mean is 0 and the standard deviation 1.

        Raises:
            InputError: A time lies in a month without training data.
        """
        shape = np.broadcast_shapes(*(part.mean.shape[2:] for part in self.parts))
        mean = np.zeros((len(time), *shape, len(self.channels)), np.float32)
        std = np.ones_like(mean)
        for part in self.parts:
            places = [self.channels.index(name) for name in part.channels]
            some_mean, some_std = part.moments(time)
            absent = np.isnan(some_mean) | np.isnan(some_std)
            mean[..., places] = np.where(absent, 0, some_mean)
            std[..., places] = np.where(absent, 1, some_std)
        return mean, std

    def apply(self, values: np.ndarray, time: TimeAxis) -> np.ndarray:
        """Turns normalised values (n, h, w, C) at n times into standardised anomalies."""
        mean, std = self.moments(time)
        return (values - mean) / std

    def invert(self, values: np.ndarray, time: TimeAxis) -> np.ndarray:
        """Turns standardised anomalies back into normalised values; inverts :meth:`apply`."""
        mean, std = self.moments(time)
        return values * std + mean

    def require(self, time: TimeAxis) -> None:
        """Checks that the climatologies cover the months of all times.

        Raises:
            InputError: A time lies in a month without training data, or the times have no dates.
        """
        for part in self.parts:
            part.require_months(time)

    def on(self, grid: Grid, name: str) -> Anomalies:
        """Selects the climatologies' values at the points of another grid.

        Args:
            grid: Grid whose points are all points of the climatologies.
            name: Name of the array, for messages.

        Raises:
            InputError: A point of the grid is not a point of the climatologies.
        """
        parts = []
        for part in self.parts:
            points = (None, None) if part.grid is None else matching_points(part.grid, grid)
            if points is None:
                raise InputError(
                    f"the statistics of {name} belong to the points of {part.grid.in_words()}, "
                    f"and the fields lie on a {grid.describe()} with other points: give fields on "
                    "points of the first grid, or make the records with --statistics-of domain."
                )
            parts.append(part.at(points, grid))
        return Anomalies(self.channels, tuple(parts))

    def select(self, channels: Sequence[str]) -> Anomalies | None:
        """Returns the climatologies of the given channels; None if none of them has any."""
        parts = []
        for part in self.parts:
            names = [name for name in part.channels if name in channels]
            if names:
                parts.append(part.select(names))
        return Anomalies(tuple(channels), tuple(parts)) if parts else None

    def summary(self) -> tuple[dict[str, Any], ...]:
        """Returns kind, months and fingerprint of each climatology for JSON, without the arrays."""
        return tuple(part.summary() for part in self.parts)


class _NormalizedLayer:
    """Normalised fields of one array; a :class:`phire.fields.source.Source`."""

    def __init__(
        self, fields: SampleFields, layer: Layer, normalization: Normalization, grid: Grid,
        time: TimeAxis,
    ) -> None:  # fmt: skip
        self.channels, self.units = normalization.channels, ("1",) * len(normalization.channels)
        self.grid, self.time = grid, time
        self._fields, self._normalization = fields, normalization
        self._number = fields.layers.index(layer)

    def read(self, times: Sequence[int]) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        normalised = np.empty((len(times), *self.grid.shape, len(self.channels)), np.float32)
        for time, out in zip(times, normalised):
            planes = self._fields.read(int(time))[self._number].whole()
            self._normalization.apply_planes(planes, out)
        return normalised


def fit_anomalies(
    fields: SampleFields,
    layer: Layer,
    normalization: Normalization,
    choices: Mapping[str, Choice],
    *,
    grid: Grid,
    time: TimeAxis,
    chosen: np.ndarray,
) -> Anomalies | None:
    """Fits the climatologies of one array, in two passes over the fields for each kind.

    Args:
        fields: The arrays of samples.
        layer: The array to fit.
        normalization: Applied before the climatology.
        choices: Kind of climatology of each channel by name; channels not named have none.
        grid: Grid of the array's whole fields.
        time: Times of all fields.
        chosen: Indices of the fields to use.

    Returns:
        The climatologies; None if no channel has one.

    Raises:
        InputError: See :func:`phire.fields.climatology_fit.fit_climatology`.
    """
    wanted: dict[Choice, list[str]] = {}
    for name in normalization.channels:
        if name in choices and not choices[name].plain:
            wanted.setdefault(choices[name], []).append(name)
    source: Source = _NormalizedLayer(fields, layer, normalization, grid, time)
    parts = tuple(
        fit_climatology(
            ChannelSelection(source, names), statistics_of=choice.statistics_of,
            harmonics=choice.harmonics, times=chosen,
        )
        for choice, names in wanted.items()
    )  # fmt: skip
    return Anomalies(normalization.channels, parts) if parts else None


def write_anomalies(directory: Path, found: Mapping[str, Anomalies]) -> None:
    """Writes the climatologies of arrays by name into a directory of records."""
    with GuardedHDF5(directory / NAME) as file:
        for name, anomalies in found.items():
            for number, part in enumerate(anomalies.parts):
                part.write(file.create_group(f"{name}/{number}"))


@dataclasses.dataclass(frozen=True)
class AnomalyFile:
    """Climatologies of one array in a directory, read on first use.

    Tasks sent to other processes contain only this reference, not the arrays.

    Attributes:
        directory: Directory of records, or of a run trained on them.
        array: Name of the array.
        channels: Channels of the array.
        summaries: The schema's entries on the climatologies, as JSON.
    """

    directory: str
    array: str
    channels: tuple[str, ...]
    summaries: str

    def load(self) -> Anomalies:
        """Reads the climatologies.

        Raises:
            InputError: The file is missing, or its climatologies are not those of the schema.
        """
        return _load(self)


@functools.lru_cache(maxsize=8)
def _load(file: AnomalyFile) -> Anomalies:
    path = Path(file.directory) / NAME
    stated = json.loads(file.summaries)
    again = "make the records, or train the run, again"
    try:
        with h5py.File(path, "r") as opened:
            groups = [opened[f"{file.array}/{number}"] for number in range(len(stated))]
            parts = tuple(Climatology.read(group, path) for group in groups)
    except (OSError, KeyError):
        raise InputError(
            f"{path} does not hold the statistics of {file.array} that its schema states: {again}."
        ) from None
    for part, wanted in zip(parts, stated):
        found = json.loads(json.dumps(part.summary()))
        different = [key for key in wanted if found[key] != wanted[key]]
        if different:
            key = different[0]
            raise InputError(
                f"{path} has other statistics of {file.array} than its schema states ({key} "
                f"{found[key]} instead of {wanted[key]}): {again}."
            )
    return Anomalies(file.channels, parts)


def read_anomalies(directory: str | os.PathLike, arrays: Mapping[str, Any]) -> dict[str, Anomalies]:
    """Reads the climatologies, by name, of the arrays that have any.

    Args:
        directory: Directory of records, or of a run trained on them.
        arrays: The :class:`phire.records.schema.SampleArray` of each name.

    Raises:
        InputError: The file is missing, or its climatologies are not those of the schema.
    """
    return {
        name: AnomalyFile(
            str(directory), name, array.channels, json.dumps(list(array.climatologies))
        ).load()
        for name, array in arrays.items()
        if array.climatologies
    }
