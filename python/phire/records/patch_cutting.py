"""Cutting patches: field by field, normalised, straight to their places in the shards."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import google_crc32c
import numpy as np

from phire.fields.normalization import Normalization
from phire.fields.time import TimeAxis
from phire.records.anomalies import AnomalyFile
from phire.records.field_in_memory import Resolution
from phire.records.pixel_arrays import Fill, Layers
from phire.records.writing import ShardFiles


@dataclasses.dataclass(frozen=True)
class Cuts:
    """Places (m,) to cut patches at; those of all layers at one place make a record.

    Attributes:
        time: Index of the field.
        row, column: First row and column, in the units of the plan.
        record: Number of the record in the plan.
        segment: Which stretch of its feature of pixels the first layer's patch becomes.
    """

    time: np.ndarray
    row: np.ndarray
    column: np.ndarray
    record: np.ndarray
    segment: np.ndarray

    def part(self, which: np.ndarray | slice) -> Cuts:
        """Selects patches by their indices."""
        return Cuts(*(getattr(self, field.name)[which] for field in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True)
class Cutter:
    """Normalises each field and cuts its patches.

    Attributes:
        layers: The fields.
        normalizations: Applied to the pixels of each layer; None to those of bits.
        dtype: Of the stored pixels.
        wraps: Patches may run across the last column, on to the first.
        fill: Put where values of a channel are missing; None where patches avoid these, or where
            they are masked.
        surveyed: Missing values are expected; otherwise work stops at the first.
        mask: Missing values become 0 after the normalization.
        anomalies: Climatologies of each layer, applied after the normalization; None where it has
            none.
        time: Times of the fields, by which climatologies go.
    """

    layers: Layers
    normalizations: tuple[Normalization | None, ...]
    dtype: str
    wraps: bool
    fill: Fill | None = None
    surveyed: bool = False
    mask: bool = False
    anomalies: tuple[AnomalyFile | None, ...] = ()
    time: TimeAxis | None = None

    def patches(
        self, number: int, field: Resolution, places: np.ndarray, time: int
    ) -> Iterator[bytes]:
        """Yields the bytes of patches of a field, H×W×C little-endian.

        One by one: what follows finds each still in the processor's cache.

        Args:
            number: Of the layer.
            field: Its physical values.
            places: (n, 2) first rows and columns of the plan.
            time: Index of the field.
        """
        layer = self.layers.layers[number]
        height, width = layer.patch
        places = layer.places(places, field.shape[2], self.wraps)
        pack = _bits if layer.bits else np.ndarray.tobytes
        moments = self._moments(number, time)
        many = len(places) * height * width > field.shape[1] * field.shape[2]
        if many or moments is not None:
            first = places[:, 0].min()
            rows = slice(first, places[:, 0].max() + height)
            if moments is not None and moments[0].shape[0] > 1:
                moments = [moment[rows] for moment in moments]
            extra = width if self.wraps else 0
            pixels = self.pixels(number, field.whole()[:, rows], extra, moments)
            places = places - [first, 0]
        else:
            pixels = self.pixels(number, field.patches(layer.patch, places))
            places = np.stack([np.arange(len(places)) * height, np.zeros(len(places), int)], 1)
        for row, column in places.tolist():
            yield pack(pixels[row : row + height, column : column + width])

    def _moments(self, number: int, time: int) -> Sequence[np.ndarray] | None:
        """Mean and standard deviation (h, w, C) of a field's normalised values; None without."""
        if not self.anomalies or self.anomalies[number] is None:
            return None
        mean, std = self.anomalies[number].load().moments(self.time[[time]])
        return mean[0], std[0]

    def pixels(
        self,
        number: int,
        planes: np.ndarray,
        extra: int = 0,
        moments: Sequence[np.ndarray] | None = None,
    ) -> np.ndarray:
        """Returns the stored values (H, W + extra, C) of (C, H, W) physical values.

        Args:
            number: Of the layer.
            planes: (C, H, W).
            extra: Columns to go on with beyond the last one, from the first.
            moments: Mean and standard deviation of the normalised values, by which these are made
                anomalies; None leaves them.
        """
        width = planes.shape[2]
        shape = planes.shape[1], width + extra, len(planes)
        layer = self.layers.layers[number]
        if layer.bits:
            pixels = np.empty(shape, bool)
            pixels[:, :width] = np.isfinite(np.moveaxis(planes, 0, -1))
        else:
            pixels = np.empty(shape, np.dtype(self.dtype).newbyteorder("<"))
            self._normalize(number, planes, pixels[:, :width], moments)
            if self.mask or layer.strict is not None:
                pixels[:, :width][np.isnan(pixels[:, :width])] = 0
        pixels[:, width:] = pixels[:, :extra]
        return pixels

    def _normalize(
        self, number: int, planes: np.ndarray, out: np.ndarray, moments: Sequence | None
    ) -> None:
        if moments is None:
            self.normalizations[number].apply_planes(planes, out)
            return
        normalised = np.empty(out.shape, np.float32)  # more digits than stored ones may have
        self.normalizations[number].apply_planes(planes, normalised)
        out[...] = (normalised - moments[0]) / moments[1]


def _bits(values: np.ndarray) -> bytes:
    """Packs one bit a value, the first in the highest bit of the first byte."""
    return np.packbits(values).tobytes()


def cut_fields(
    cutter: Cutter, directory: Path, names: Sequence[str], cuts: Cuts, shard: np.ndarray,
    offsets: np.ndarray,
) -> np.ndarray | None:  # fmt: skip
    """Cuts the patches of some fields and writes their pixels to their places.

    Args:
        cutter: What is done to each field.
        directory, names: The shards.
        cuts: What to cut, fields together.
        shard: (m,) the shard of each cut's record.
        offsets: (m, layers) first byte of the pixels.

    Returns:
        (m, layers) CRC32C of the pixels, uint32; None where a value that is missing or infinite
        was met unexpectedly.
    """
    crcs = np.empty(offsets.shape, np.uint32)
    bounds = np.flatnonzero(np.diff(cuts.time, prepend=-1, append=-1))
    with ShardFiles(directory, names) as files:
        for first, last in itertools.pairwise(bounds.tolist()):
            fields = cutter.layers.read(int(cuts.time[first]), cutter.fill)
            if not cutter.surveyed and not all(field.finite for field in fields):
                return None
            places = np.stack([cuts.row[first:last], cuts.column[first:last]], axis=1)
            for number, field in enumerate(fields):
                patches = cutter.patches(number, field, places, int(cuts.time[first]))
                for i, pixels in zip(range(first, last), patches):
                    crcs[i, number] = google_crc32c.value(pixels)
                    files.write(int(shard[i]), int(offsets[i, number]), pixels)
    return crcs
