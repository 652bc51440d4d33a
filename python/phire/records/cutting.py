"""Cutting patches: field by field, normalised, straight to their places in the shards."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import google_crc32c
import numpy as np

from phire.fields.normalization import Normalization
from phire.records.layers import Layers
from phire.records.planes import Resolution
from phire.records.writing import ShardFiles


@dataclasses.dataclass(frozen=True)
class Cuts:
    """Places to cut, (m,) each: the patches there, one of each layer, go into a record.

    Attributes:
        time: Index of the field.
        row, column: First row and column, in the units of the plan.
        record: Number of the record in the plan.
        feature: Which feature of pixels the first layer's patch becomes; the next layer's the next.
    """

    time: np.ndarray
    row: np.ndarray
    column: np.ndarray
    record: np.ndarray
    feature: np.ndarray

    def part(self, which: np.ndarray | slice) -> Cuts:
        """Some of them."""
        return Cuts(*(getattr(self, field.name)[which] for field in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True)
class Cutter:
    """What is done to each field.

    Attributes:
        layers: The fields.
        normalization: Applied to the pixels.
        dtype: Of the stored pixels.
        wraps: Patches may run across the last column, on to the first.
        fill: (C,) put where values are missing; None where patches avoid these.
        surveyed: Missing values are expected; otherwise work stops at the first.
    """

    layers: Layers
    normalization: Normalization
    dtype: str
    wraps: bool
    fill: tuple[float, ...] | None = None
    surveyed: bool = False

    def patches(
        self, field: Resolution, patch: tuple[int, int], places: np.ndarray
    ) -> Iterator[bytes]:
        """Yields the bytes of patches of a field, H×W×C little-endian.

        One by one: what follows finds each still in the processor's cache.

        Args:
            field: Physical values.
            patch: (H, W).
            places: (n, 2) first rows and columns.
        """
        height, width = patch
        if len(places) * height * width > field.shape[1] * field.shape[2]:
            first = places[:, 0].min()
            rows = slice(first, places[:, 0].max() + height)
            pixels = self.normalised(field.whole()[:, rows], width if self.wraps else 0)
            places = places - [first, 0]
        else:
            pixels = self.normalised(field.patches(patch, places))
            places = np.stack([np.arange(len(places)) * height, np.zeros(len(places), int)], 1)
        for row, column in places.tolist():
            yield pixels[row : row + height, column : column + width].tobytes()

    def normalised(self, planes: np.ndarray, extra: int = 0) -> np.ndarray:
        """(H, W + extra, C) as stored, from (C, H, W) physical values.

        Args:
            planes: (C, H, W).
            extra: Columns to go on with beyond the last one, from the first.
        """
        width = planes.shape[2]
        shape = planes.shape[1], width + extra, len(planes)
        pixels = np.empty(shape, np.dtype(self.dtype).newbyteorder("<"))
        self.normalization.apply_planes(planes, pixels[:, :width])
        pixels[:, width:] = pixels[:, :extra]
        return pixels


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
    fill = None if cutter.fill is None else np.asarray(cutter.fill)
    bounds = np.flatnonzero(np.diff(cuts.time, prepend=-1, append=-1))
    with ShardFiles(directory, names) as files:
        for first, last in itertools.pairwise(bounds.tolist()):
            fields = cutter.layers.read(int(cuts.time[first]), fill)
            if not cutter.surveyed and not all(field.finite for field in fields):
                return None
            for number, (layer, field) in enumerate(zip(cutter.layers.layers, fields)):
                places = np.stack([cuts.row[first:last], cuts.column[first:last]], axis=1)
                patches = cutter.patches(field, layer.patch, places * layer.step)
                for i, pixels in zip(range(first, last), patches):
                    crcs[i, number] = google_crc32c.value(pixels)
                    files.write(int(shard[i]), int(offsets[i, number]), pixels)
    return crcs
