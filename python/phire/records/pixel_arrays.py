"""Arrays of pixels that samples are cut from, and their sources."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from phire.fields.grid import Grid
from phire.records.coarse_grid import CoarsePart
from phire.records.field_in_memory import BlockMeans, Planes, Resolution
from phire.records.grid_points import Points
from phire.records.input_files import InputFile
from phire.records.station_gridding import Stations

Fill = Mapping[str, float]
"""Values to put where a channel is missing."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """One array of the patches.

    Attributes:
        name: Of the sample's array.
        patch: (H, W) of the patches, a margin included.
        step: Its points for each row and column that the plan counts.
        origin: Its row and column at which the patch of place (0, 0) begins; columns count around
            where the fields close the circle.
        strict: Leading channels whose missing values count; None counts all of them. The others
            are missing at most points, as between stations.
        bits: One bit a value is stored, 1 where the value is present: of the array that
            :data:`phire.records.schema.PRESENCE` names.
    """

    name: str
    patch: tuple[int, int]
    step: int = 1
    origin: tuple[int, int] = (0, 0)
    strict: int | None = None
    bits: bool = False

    def places(self, places: np.ndarray, columns: int, wraps: bool) -> np.ndarray:
        """Returns (n, 2) first rows and columns of its patches, for places of the plan.

        Args:
            places: (n, 2).
            columns: Of its fields.
            wraps: True where these close the circle.
        """
        places = places * self.step + np.array(self.origin)
        if wraps:
            places[:, 1] %= columns
        return places


class OneResolution:
    """Fields as they are in a file.

    Args:
        file: The fields.
        patch: (H, W) of the patches to cut.

    Attributes:
        layers: The one array.
        field_bytes: Bytes of a field in memory.
    """

    def __init__(self, file: InputFile, patch: tuple[int, int]) -> None:
        self.layers = (Layer("first", patch),)
        self.field_bytes = file.field_bytes
        self._file = file

    def read(self, time: int, fill: Fill | None = None) -> list[Resolution]:
        """Reads one field.

        Args:
            time: Its index.
            fill: Values to put where some are missing; None leaves NaN.

        Returns:
            The values of each layer.
        """
        return [Planes(filled(self._file.read_planes(time), self._file.channels, fill))]


@dataclasses.dataclass(frozen=True)
class PaddedInput:
    """The fine fields, missing at the rows and columns that complete the last blocks.

    Attributes:
        file: The fields.
        grid: Their grid with these rows and columns after the last ones.
    """

    file: InputFile
    grid: Grid

    path = property(lambda self: self.file.path)
    channels = property(lambda self: self.file.channels)
    time = property(lambda self: self.file.time)
    field_bytes = property(lambda self: self.file.field_bytes)

    def read_planes(self, time: int) -> np.ndarray:
        """Reads one field, channels first: (C, H, W) float32."""
        planes = self.file.read_planes(time)
        added = [n - size for n, size in zip(self.grid.shape, planes.shape[1:])]
        if not any(added):
            return planes
        widths = [(0, 0), (0, added[0]), (0, added[1])]
        return np.pad(planes, widths, constant_values=np.nan)


@dataclasses.dataclass(frozen=True)
class FinePart:
    """An input on the fine grid; a :class:`phire.fields.source.Source`.

    Attributes:
        file: The input.
        grid: The fine grid.
        points: Its rows and columns that lie on it.
    """

    file: InputFile
    grid: object
    points: Points

    channels = property(lambda self: self.file.channels)
    units = property(lambda self: self.file.units)
    time = property(lambda self: self.file.time)

    def read(self, times: Sequence[int]) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        return self.file.read(times)[:, self.points[0][:, None], self.points[1]]

    def read_planes(self, time: int) -> np.ndarray:
        """Reads one field, channels first: (C, H, W) float32."""
        return self.file.read_planes(time)[:, self.points[0][:, None], self.points[1]]


@dataclasses.dataclass(frozen=True)
class Timed:
    """Input with the index of its field at the time of each fine field; -1 for no field."""

    part: CoarsePart | FinePart
    times: np.ndarray


@dataclasses.dataclass(frozen=True)
class SampleFields:
    """Fields of downscaling samples: ``low`` and ``high``, perhaps further arrays.

    Attributes:
        layers: The arrays, in the order ``low``, ``auxiliary``, ``high``, ``valid``, ``low_valid``.
        high: The fine fields.
        window: Their rows and columns that make the domain.
        weights: (rows of blocks, scale) of the fine rows in each block.
        coarsened: Coarsened targets are the first channels of ``low``.
        low, auxiliary: Further inputs of these arrays.
        stations: Observations, the last channels of ``auxiliary``.
        mask: Missing values are marked rather than avoided: the mean over a block is that of the
            points present.
    """

    layers: tuple[Layer, ...]
    high: PaddedInput
    window: tuple[slice, slice]
    weights: np.ndarray
    coarsened: bool
    low: tuple[Timed, ...] = ()
    auxiliary: tuple[Timed, ...] = ()
    stations: Stations | None = None
    mask: bool = False

    @property
    def field_bytes(self) -> int:
        """Bytes of a field of all inputs in memory."""
        parts = [self.high, *(timed.part.file for timed in (*self.low, *self.auxiliary))]
        return sum(part.field_bytes for part in parts)

    def read(self, time: int, fill: Fill | None = None) -> list[Resolution]:
        """Reads one field of each array; see :meth:`OneResolution.read`."""
        rows, columns = self.window
        values = self.high.read_planes(time)[:, rows, columns]
        fine = Planes(filled(values, self.high.channels, fill))
        means = BlockMeans(fine, self.weights, self.mask) if self.coarsened else None
        fields = [means if means and not self.low else _joined(means, self.low, time, fill)]
        if any(layer.name == "auxiliary" for layer in self.layers):
            extra = [] if self.stations is None else [self.stations.read_planes(time)]
            strict = sum(len(timed.part.channels) for timed in self.auxiliary)
            fields.append(_joined(None, self.auxiliary, time, fill, extra, strict))
        fields.append(fine)
        presence = {"valid": fine, "low_valid": fields[0]}
        return fields + [presence[layer.name] for layer in self.layers if layer.bits]


def _joined(
    means: BlockMeans | None, parts: Sequence[Timed], time: int, fill: Fill | None,
    extra: Sequence[np.ndarray] = (), strict: int | None = None,
) -> Planes:  # fmt: skip
    planes = [] if means is None else [means.whole()]
    for timed in parts:
        values = timed.part.read_planes(int(timed.times[time]))
        planes.append(filled(values, timed.part.channels, fill))
    planes += extra
    return Planes(planes[0] if len(planes) == 1 else np.concatenate(planes), strict)


Layers = OneResolution | SampleFields


def filled(planes: np.ndarray, channels: Sequence[str], fill: Fill | None) -> np.ndarray:
    """Returns planes (C, H, W) with missing values filled."""
    if fill is None:
        return planes
    values = np.array([fill[name] for name in channels], planes.dtype)
    return np.where(np.isnan(planes), values[:, None, None], planes)
