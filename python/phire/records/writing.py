"""Writing records into their places: each at an offset that is known before the first is cut.

Every record's shard, place and length follow from the plan. So the fields are read once, in the
order of time, by any number of workers, and each record goes straight to where it belongs; the
bytes of the shards do not depend on who wrote them in what order.
"""

from __future__ import annotations

import dataclasses
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire.records import features

BLOCK = 4 << 20


@dataclasses.dataclass(frozen=True)
class Places:
    """Where each record of a plan goes.

    Attributes:
        shard: (n,) number of the shard.
        offset: (n,) byte in the shard's uncompressed file.
        sizes: (shards,) bytes of each shard.
        index: (n,) running number over all shards.
    """

    shard: np.ndarray
    offset: np.ndarray
    sizes: np.ndarray
    index: np.ndarray


def assign_places(
    count: int, shards: int, seed: int, integers: Mapping[str, np.ndarray], kind: str, pixels: Any
) -> Places:
    """Deals records out to shards in a seeded permutation.

    Args:
        count: Number of records.
        shards: Number of shards.
        seed: Seed of the permutation.
        integers: The integer features but ``index``, (n,) each.
        kind: ``pairs`` or ``downscaling``.
        pixels: Bytes of each feature of pixels.
    """
    order = np.random.default_rng([seed, 2]).permutation(count)
    # place[i]: where record i comes in the whole sequence; shards take consecutive stretches.
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    bounds = np.linspace(0, count, shards + 1).round().astype(np.int64)
    shard = np.searchsorted(bounds, place, side="right") - 1
    floats = features.PAIR_FLOATS if kind == "pairs" else ()
    lengths = features.record_lengths({"index": place, **integers}, floats, pixels)
    ends = np.cumsum(lengths[order])
    starts = ends - lengths[order]
    base = np.concatenate([[0], ends])[bounds[:-1]]
    offset = np.empty(count, np.int64)
    offset[order] = starts - base[shard[order]]
    sizes = np.diff(np.concatenate([[0], ends])[bounds])
    return Places(shard, offset, sizes, place)


def shard_names(shards: int) -> tuple[str, ...]:
    """``records-00000-of-00008.tfrecord`` …"""
    return tuple(f"records-{i:05d}-of-{shards:05d}.tfrecord" for i in range(shards))


def allocate(directory: Path, names: Sequence[str], sizes: np.ndarray) -> None:
    """Makes the uncompressed shards at their full size, still empty."""
    for name, size in zip(names, sizes):
        with open(directory / name, "wb") as stream:
            stream.truncate(int(size))


class ShardFiles:
    """The uncompressed shards, open for writing at any place."""

    def __init__(self, directory: Path, names: Sequence[str]) -> None:
        self._descriptors = [os.open(directory / name, os.O_WRONLY) for name in names]

    def write(self, shard: int, offset: int, pieces: Sequence[bytes]) -> None:
        """Writes a framed record's pieces at its place."""
        descriptor = self._descriptors[shard]
        expected = sum(len(piece) for piece in pieces)
        written = os.pwritev(descriptor, pieces, offset)
        while written < expected:  # a signal or a file system may cut a write short
            rest = b"".join(pieces)[written:]
            written += os.pwrite(descriptor, rest, offset + written)

    def __enter__(self) -> ShardFiles:
        return self

    def __exit__(self, *exception: object) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)


def compress(path: str | os.PathLike, compression: str) -> None:
    """Replaces a file by its zlib or gzip form, as TFRecord readers expect it.

    igzip (Intel ISA-L) compresses several times faster than zlib at nearly its size; normalised
    fields hold little that any of them can take away.
    """
    from isal import isal_zlib

    path = Path(path)
    packed = path.with_suffix(".packed")
    window = zlib.MAX_WBITS | (16 if compression == "gzip" else 0)
    compressor = isal_zlib.compressobj(1, isal_zlib.DEFLATED, window)
    with open(path, "rb") as source, open(packed, "wb") as target:
        while block := source.read(BLOCK):
            target.write(compressor.compress(block))
        target.write(compressor.flush())
    os.replace(packed, path)
