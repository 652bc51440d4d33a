"""Cutting of normalised patches, field by field, written straight to their offsets in shards."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import google_crc32c
import numpy as np

from phire.fields.normalization import Normalization
from phire.fields.time_axis import TimeAxis
from phire.records import presence_bits
from phire.records.anomalies import AnomalyFile
from phire.records.field_in_memory import Resolution
from phire.records.pixel_arrays import Fill, Layers
from phire.records.tfrecord_writing import ShardFiles


@dataclasses.dataclass(frozen=True)
class Cuts:
    """Patches to cut: (m,) arrays. The patches of all layers at one position make a record.

    Attributes:
        time: Index of the field.
        row, column: First row and column, in blocks of the plan.
        record: Number of the record in the plan.
        segment: Number of the segment (time step) of the pixel feature that the patch fills.
    """

    time: np.ndarray
    row: np.ndarray
    column: np.ndarray
    record: np.ndarray
    segment: np.ndarray

    def part(self, which: np.ndarray | slice) -> Cuts:
        """Returns the patches of the given indices."""
        return Cuts(*(getattr(self, field.name)[which] for field in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True)
class Cutter:
    """Normalises each field and cuts its patches.

    Attributes:
        layers: The pixel arrays and their fields.
        normalizations: Normalization of each layer; None for layers of bits.
        dtype: Type of the stored pixels.
        wraps: True if patches may extend from the last column to the first.
        fill: Replacement of missing values by channel; None if patches avoid or mask them.
        surveyed: True if missing values are expected; otherwise the first one stops the work.
        mask: True sets missing values to 0 after the normalization.
        anomalies: Climatologies of each layer, applied after the normalization; None for layers
            without.
        time: Times of the fields, for the climatologies.
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
        """Yields the bytes of each patch of a field, H×W×C little-endian.

        A generator, because each patch is then written while it is in the processor's cache.

        Args:
            number: Number of the layer.
            field: Physical values of the layer.
            places: (n, 2) first rows and columns of the plan.
            time: Index of the field.
        """
        layer = self.layers.layers[number]
        if layer.mean is not None:
            yield from itertools.repeat(self._means(number, field, time), len(places))
            return
        height, width = layer.patch
        places = layer.places(places, field.shape[2], self.wraps)
        pack = presence_bits.packed if layer.bits else np.ndarray.tobytes
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

    def _means(self, number: int, field: Resolution, time: int) -> bytes:
        """Returns the bytes of the area means of a whole normalised field, h'×w'×C."""
        layer = self.layers.layers[number]
        rows, columns = (slice(o, o + n) for o, n in zip(layer.origin, layer.mean.shape))
        moments = self._moments(number, time)
        if moments is not None and moments[0].shape[0] > 1:
            moments = [moment[rows, columns] for moment in moments]
        pixels = np.empty((*layer.mean.shape, field.shape[0]), np.float32)
        self._normalize(number, field.whole()[:, rows, columns], pixels, moments)
        return layer.mean(pixels).astype(np.dtype(self.dtype).newbyteorder("<")).tobytes()

    def _moments(self, number: int, time: int) -> Sequence[np.ndarray] | None:
        """Returns the climatology's mean and standard deviation, (h, w, C) each, at a field's time.

        None if the layer has no climatology.
        """
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
        """Turns physical values (C, H, W) into stored values (H, W + extra, C).

        Args:
            number: Number of the layer.
            planes: (C, H, W) physical values.
            extra: Number of first columns to repeat after the last one.
            moments: Mean and standard deviation that turn normalised values into anomalies; None
                for no anomalies.
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
        normalised = np.empty(out.shape, np.float32)  # `out` may be float16
        self.normalizations[number].apply_planes(planes, normalised)
        out[...] = (normalised - moments[0]) / moments[1]


def cut_fields(
    cutter: Cutter, directory: Path, names: Sequence[str], cuts: Cuts, shard: np.ndarray,
    offsets: np.ndarray,
) -> np.ndarray | None:  # fmt: skip
    """Cuts patches and writes their pixels to their offsets in the shards.

    Args:
        cutter: Normalises the fields and cuts their patches.
        directory, names: Directory and file names of the shards.
        cuts: The patches, ordered by field.
        shard: (m,) the shard of each cut's record.
        offsets: (m, layers) first byte of the pixels.

    Returns:
        (m, layers) CRC32C of the pixels, uint32; None at an unexpected missing or infinite value.
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
