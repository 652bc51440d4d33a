"""Pixel arrays that samples are cut from, and the inputs that they are read from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from phire.fields.area_mean import AreaMean
from phire.fields.grid import Grid
from phire.records.coarse_grid import CoarsePart
from phire.records.field_in_memory import BlockMeans, Planes, Resolution
from phire.records.grid_points import Points
from phire.records.input_files import InputFile
from phire.records.schema import COMPUTED
from phire.records.station_gridding import Stations

Fill = Mapping[str, float]
"""Replacement of missing values by the name of the channel."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """One pixel array of the samples.

    Attributes:
        name: Name of the array in a sample.
        patch: (H, W) of the patches, including the margin.
        step: Number of its points per row and column of the plan.
        origin: First row and column of the patch at position (0, 0) of the plan. Columns are
            counted around the circle if the fields span all longitudes.
        strict: Number of leading channels in which missing values matter; None for all. The other
            channels are missing at most points, such as between stations.
        bits: True if one bit per value is stored, 1 for present values of the array that
            :data:`phire.records.schema.PRESENCE` names.
        mean: Means of the whole normalised field that are stored in place of a patch; None for
            patches. ``origin`` is then the first point of the field that they cover.
    """

    name: str
    patch: tuple[int, int]
    step: int = 1
    origin: tuple[int, int] = (0, 0)
    strict: int | None = None
    bits: bool = False
    mean: AreaMean | None = None

    @property
    def array(self) -> str:
        """Name of the array of the sample that holds its channels."""
        return COMPUTED.get(self.name, self.name)

    @property
    def normalized_as(self) -> str | None:
        """Name of the array whose normalization applies; None for bits."""
        return None if self.bits else self.array

    def places(self, places: np.ndarray, columns: int, wraps: bool) -> np.ndarray:
        """Returns the first rows and columns of its patches, (n, 2).

        Args:
            places: (n, 2) positions in the plan.
            columns: Number of columns of its fields.
            wraps: True if the fields span all longitudes.
        """
        places = places * self.step + np.array(self.origin)
        if wraps:
            places[:, 1] %= columns
        return places


class OneResolution:
    """Fields of a file at their own resolution.

    Args:
        file: The fields.
        patch: (H, W) of the patches to cut.

    Attributes:
        layers: The only array.
        field_bytes: Size of one field in memory, bytes.
    """

    def __init__(self, file: InputFile, patch: tuple[int, int]) -> None:
        self.layers = (Layer("first", patch),)
        self.field_bytes = file.field_bytes
        self._file = file

    def read(self, time: int, fill: Fill | None = None) -> list[Resolution]:
        """Reads one field for each layer.

        Args:
            time: Index of the field.
            fill: Replacement of missing values by channel; None leaves NaN.

        Returns:
            The values for each layer.
        """
        return [Planes(filled(self._file.read_planes(time), self._file.channels, fill))]


@dataclasses.dataclass(frozen=True)
class PaddedInput:
    """The fine fields, padded with NaN so that their last blocks are complete.

    Attributes:
        file: The fields.
        grid: Grid of the padded fields.
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
        points: Rows and columns of the input at the points of the fine grid.
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
    """Input, and the index of its field at the time of each fine field (-1 for no field)."""

    part: CoarsePart | FinePart
    times: np.ndarray


@dataclasses.dataclass(frozen=True)
class SampleFields:
    """Fields of downscaling samples: ``low``, ``high`` and optional further arrays.

    Attributes:
        layers: The arrays, in the order ``low``, ``auxiliary``, ``high``, ``valid``, ``low_valid``,
            ``context``.
        high: The fine fields.
        window: Rows and columns of the fine fields in the domain.
        weights: (rows of blocks, scale) weights of the fine rows in each block.
        coarsened: True if coarsened targets are the first channels of ``low``.
        low, auxiliary: Further inputs of the arrays ``low`` and ``auxiliary``.
        stations: Station observations, the last channels of ``auxiliary``; None if there are none.
        mask: True if missing values are masked rather than avoided; block means are then those
            of the present points.
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
        """Size of one field of all inputs in memory, bytes."""
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
        sources = {"low": fields[0], "high": fine}
        return fields + [sources[x.array] for x in self.layers if x.name in COMPUTED]


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
    """Returns planes (C, H, W) with missing values replaced."""
    if fill is None:
        return planes
    values = np.array([fill[name] for name in channels], planes.dtype)
    return np.where(np.isnan(planes), values[:, None, None], planes)
