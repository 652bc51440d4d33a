"""Standardised anomalies: normalised values less their climatology, by points and seasons.

The step of normalization that depends on place and day of the year. It follows
:class:`phire.fields.normalization.Normalization`: the climatology is that of the normalised values,
so that ``log:0.1`` with statistics of points is log(x + 0.1) by the mean and standard deviation of
each point.
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
from phire.fields.time import TimeAxis
from phire.records.grid_points import matching_points
from phire.records.pixel_arrays import Layer, SampleFields

NAME = "climatologies.h5"
MOST_HARMONICS = 6


@dataclasses.dataclass(frozen=True)
class Choice:
    """Statistics of a channel.

    Attributes:
        statistics_of: ``domain`` (one value for all points), ``point`` or ``mean-of-points``.
        harmonics: Number of harmonics of the year; 0 where the season does not matter.
    """

    statistics_of: str = "domain"
    harmonics: int = 0

    @property
    def plain(self) -> bool:
        """True if the plain normalization is all there is."""
        return self == Choice()


def parse_choices(
    statistics_of: str | None, seasonal: str | int | None, channels: Sequence[str]
) -> dict[str, Choice]:
    """Returns the statistics of each channel.

    Args:
        statistics_of: ``domain``, ``point`` or ``mean-of-points`` for all channels, then
            ``NAME=…`` for those that differ, as in ``point,pr=domain``.
        seasonal: Likewise, numbers of harmonics from 0 to 6, as in ``2,pr=0``.
        channels: Names of the channels.

    Raises:
        InputError: A value is impossible, or a name is no channel.
    """
    of = values_by_channel("--statistics-of", statistics_of or "domain", channels, "domain")
    for value in of.values():
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
    return {name: Choice(of[name], int(harmonics[name])) for name in channels}


@dataclasses.dataclass(frozen=True, eq=False)
class Anomalies:
    """The climatologies of the normalised values of an array.

    Attributes:
        channels: Channels of the array, in order.
        parts: Climatologies, each of some of the channels; the others stay as they are.
    """

    channels: tuple[str, ...]
    parts: tuple[Climatology, ...]

    def moments(self, time: TimeAxis) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and standard deviation at some times, (n, h, w, C) float32.

        h and w are 1 where no channel has statistics of points. At points that had no value to fit
        them to, they are 0 and 1.

        Raises:
            InputError: A time lies in a month that the climatologies do not know.
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
        """Normalised values (n, h, w, C) at n times to standardised anomalies."""
        mean, std = self.moments(time)
        return (values - mean) / std

    def invert(self, values: np.ndarray, time: TimeAxis) -> np.ndarray:
        """Inverts :meth:`apply`."""
        mean, std = self.moments(time)
        return values * std + mean

    def require(self, time: TimeAxis) -> None:
        """Refuses times that the climatologies do not know.

        Raises:
            InputError: A time lies in a month without training data, or the times have no dates.
        """
        for part in self.parts:
            part.require_months(time)

    def on(self, grid: Grid, name: str) -> Anomalies:
        """Returns the climatologies on a grid whose points are among theirs.

        Args:
            grid: The grid.
            name: The array, for messages.

        Raises:
            InputError: A point of the grid is not among theirs.
        """
        parts = []
        for part in self.parts:
            points = (None, None) if part.grid is None else matching_points(part.grid, grid)
            if points is None:
                raise InputError(
                    f"the statistics of {name} are of each point of {part.grid.in_words()}, "
                    f"which lacks points of the {grid.describe()} given: give fields of those "
                    "points, or make the records with --statistics-of domain."
                )
            parts.append(part.at(points, grid))
        return Anomalies(self.channels, tuple(parts))

    def select(self, channels: Sequence[str]) -> Anomalies | None:
        """Returns the climatologies of an array of other channels; None if none has one."""
        parts = []
        for part in self.parts:
            names = [name for name in part.channels if name in channels]
            if names:
                parts.append(part.select(names))
        return Anomalies(tuple(channels), tuple(parts)) if parts else None

    def summary(self) -> tuple[dict[str, Any], ...]:
        """Returns the JSON form, without the arrays."""
        return tuple(part.summary() for part in self.parts)


class _NormalizedLayer:
    """The normalised fields of an array of samples; a :class:`phire.fields.source.Source`."""

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
        made = np.empty((len(times), *self.grid.shape, len(self.channels)), np.float32)
        for time, out in zip(times, made):
            planes = self._fields.read(int(time))[self._number].whole()
            self._normalization.apply_planes(planes, out)
        return made


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
    """Fits the climatologies of an array; the fields are read twice for each kind of statistics.

    Args:
        fields: The arrays of samples.
        layer: The one to fit.
        normalization: What comes before the climatology.
        choices: Statistics of the channels by name; those not named stay as they are.
        grid: Grid of the array's whole fields.
        time: Times of all fields.
        chosen: Indices of the fields to use.

    Returns:
        The climatologies; None where all channels stay as they are.

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
    """Climatologies of an array in a directory, read when they are needed first.

    A task that carries it to another process carries no arrays.

    Attributes:
        directory: Records, or a run trained on them.
        array: Name of the array.
        channels: Its channels.
        summaries: JSON of what the schema says of the climatologies.
    """

    directory: str
    array: str
    channels: tuple[str, ...]
    summaries: str

    def load(self) -> Anomalies:
        """Reads the climatologies.

        Raises:
            InputError: The file is missing, or it holds others than the schema says.
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
    """Returns the climatologies of the arrays that have some, by name.

    Args:
        directory: Records, or a run trained on them.
        arrays: The :class:`phire.records.schema.SampleArray` of each name.

    Raises:
        InputError: The file is missing, or it holds others than the schema says.
    """
    return {
        name: AnomalyFile(
            str(directory), name, array.channels, json.dumps(list(array.climatologies))
        ).load()
        for name, array in arrays.items()
        if array.climatologies
    }
