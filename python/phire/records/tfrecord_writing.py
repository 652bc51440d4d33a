"""Writing of records at byte offsets that are computed before the first patch is cut.

The shard, offset and length of every record follow from the plan. Each field is therefore read only
once, by any worker, and its patches are written straight to their offsets. Lengths, features and
checksums around them are written afterwards. The bytes of the shards do not depend on the number or
order of the workers.

``tf.io.TFRecordWriter`` appends records in order, which would need either all fields in memory or
each field read many times. ``tests/records/test_pair_records.py`` reads the shards with TensorFlow
alone.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import google_crc32c
import numpy as np

from phire.errors import WorkError
from phire.records import tfrecord_encoding as encoding
from phire.value_text import size_text

BLOCK = 4 << 20


@dataclasses.dataclass(frozen=True)
class Contents:
    """Metadata of records: all features except the values of pixels.

    Attributes:
        integers: The integer features, (n,) each, in order.
        floats: The float features, (n,) each.
        pixels: Bytes of each pixel feature.
        segments: Number of equal segments (time steps) in which a pixel feature is written.
    """

    integers: Mapping[str, np.ndarray]
    floats: Mapping[str, np.ndarray]
    pixels: Mapping[str, int]
    segments: int = 1

    @property
    def count(self) -> int:
        """Number of records."""
        return len(next(iter(self.integers.values())))

    def part(self, which: np.ndarray) -> Contents:
        """Returns the metadata of the records of the given indices."""
        return Contents(
            {name: values[which] for name, values in self.integers.items()},
            {name: values[which] for name, values in self.floats.items()},
            self.pixels,
            self.segments,
        )


@dataclasses.dataclass(frozen=True)
class Places:
    """Shard and byte offset of each record.

    Attributes:
        shard: (n,) number of the shard.
        offset: (n,) offset of the record's first byte in the uncompressed shard.
        length: (n,) length of the record, bytes.
        sizes: (shards,) size of each shard, bytes.
    """

    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    sizes: np.ndarray

    def segment_offsets(self, contents: Contents) -> np.ndarray:
        """Computes the offsets of all pixel segments, (n, pixel features × segments)."""
        # Offsets are counted back from the end, as only the head of a record varies in length.
        end = self.offset + self.length
        sizes = np.array(list(contents.pixels.values())) // contents.segments
        within = sizes[:, None] * np.arange(contents.segments)
        begin = within - encoding.pixel_places(contents.pixels)[:, None]
        return end[:, None] + begin.ravel()


def assign_places(contents: Contents, shards: int, seed: int) -> Places:
    """Assigns records to shards by a random permutation."""
    count = contents.count
    # Stream 2 of the seed: the order does not depend on the draw of samples, which is stream 1.
    order = np.random.default_rng([seed, 2]).permutation(count)
    # rank[i] is the position of record i in the whole sequence, which shards divide in order.
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    bounds = np.linspace(0, count, shards + 1).round().astype(np.int64)
    shard = np.searchsorted(bounds, rank, side="right") - 1
    length = encoding.record_lengths(contents.integers, list(contents.floats), contents.pixels)
    ends = np.concatenate([[0], np.cumsum(length[order])])
    base = ends[bounds[:-1]]
    offset = np.empty(count, np.int64)
    offset[order] = ends[:-1] - base[shard[order]]
    return Places(shard, offset, length, np.diff(ends[bounds]))


def shard_names(shards: int) -> tuple[str, ...]:
    """Returns the file names ``records-00000-of-00008.tfrecord`` …"""
    return tuple(f"records-{i:05d}-of-{shards:05d}.tfrecord" for i in range(shards))


def allocate(directory: Path, names: Sequence[str], sizes: np.ndarray) -> None:
    """Allocates the disk space of all uncompressed shards.

    Raises:
        WorkError: The disk has not enough room for them.
    """
    wanted, free = int(sizes.sum()), shutil.disk_usage(directory).free
    if wanted > free:
        raise WorkError(
            f"the disk is full: the records take {size_text(wanted)}, but {directory.parent} has "
            f"only {size_text(free)} left: choose another disk, fewer patches or --dtype float16."
        )
    for name, size in zip(names, sizes):
        with open(directory / name, "wb") as stream:
            stream.truncate(int(size))  # a sparse file, writable at any offset


OPEN_FILES = 64
"""Number of shards that a task keeps open. Systems often allow 1024 open files per process, which
tasks on threads share."""


class ShardFiles:
    """Uncompressed shards, writable at any offset.

    Each shard is opened at its first write. Only the last few opened stay open.
    """

    def __init__(self, directory: Path, names: Sequence[str]) -> None:
        self._directory = directory
        self._names = names
        self._descriptors: dict[int, int] = {}

    def _descriptor(self, shard: int) -> int:
        if shard not in self._descriptors:
            if len(self._descriptors) >= OPEN_FILES:
                os.close(self._descriptors.pop(next(iter(self._descriptors))))
            try:
                descriptor = os.open(self._directory / self._names[shard], os.O_WRONLY)
            except FileNotFoundError:
                raise WorkError(
                    f"a worker on {os.uname().nodename} cannot find {self._directory}: all "
                    "workers must share the file system of the records."
                ) from None
            self._descriptors[shard] = descriptor
        return self._descriptors[shard]

    def write(self, shard: int, offset: int, data: bytes) -> None:
        """Writes bytes at an offset of a shard.

        Raises:
            WorkError: The shard does not exist on this machine.
        """
        descriptor = self._descriptor(shard)
        written = os.pwrite(descriptor, data, offset)
        while written < len(data):  # pwrite may write less than asked
            written += os.pwrite(descriptor, data[written:], offset + written)

    def __enter__(self) -> ShardFiles:
        return self

    def __exit__(self, *exception: object) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)


def seal(
    directory: Path,
    names: Sequence[str],
    contents: Contents,
    shard: np.ndarray,
    offset: np.ndarray,
    length: np.ndarray,
    crcs: np.ndarray,
) -> None:
    """Writes the lengths, features and checksums around the pixels of records.

    Args:
        directory, names: Directory and file names of the shards.
        contents: Metadata of the records.
        shard, offset, length: Shard, offset and length of each record, (n,).
        crcs: (n, pixel features × segments) CRC32C of the pixels.
    """
    heads = [encoding.pixel_head(*item) for item in contents.pixels.items()]
    back = encoding.pixel_places(contents.pixels)
    integers = {name: values.tolist() for name, values in contents.integers.items()}
    floats = {name: values.tolist() for name, values in contents.floats.items()}
    places = list(zip(shard.tolist(), offset.tolist(), length.tolist()))
    crc = np.empty(len(places), np.uint32)
    with ShardFiles(directory, names) as files:
        for i, (number, first, size) in enumerate(places):
            head, crc[i] = encoding.record_head(
                size,
                [(name, values[i]) for name, values in integers.items()],
                [(name, values[i]) for name, values in floats.items()],
                heads[0],
            )
            files.write(number, first, head)
            for pixel_head, distance in zip(heads[1:], back[1:].tolist()):
                files.write(number, first + size - distance - len(pixel_head), pixel_head)
        for feature, size in enumerate(contents.pixels.values()):
            if feature:
                head = heads[feature]
                crc = encoding.joined_crc(crc, google_crc32c.value(head), len(head))
            for segment in range(feature * contents.segments, (feature + 1) * contents.segments):
                crc = encoding.joined_crc(crc, crcs[:, segment], size // contents.segments)
        for (number, first, size), value in zip(places, encoding.masked(crc).tolist()):
            files.write(number, first + size - 4, struct.pack("<I", value))


def compress(path: str | os.PathLike, compression: str) -> None:
    """Compresses a shard with zlib or gzip, in the form that TFRecord readers expect.

    igzip (Intel ISA-L) is several times faster than zlib at nearly the same size, as normalised
    fields compress badly with either.
    """
    from isal import isal_zlib

    path = Path(path)
    packed = path.with_suffix(".packed")
    if not path.exists() and packed.exists():
        return
    window = zlib.MAX_WBITS | (16 if compression == "gzip" else 0)
    compressor = isal_zlib.compressobj(1, isal_zlib.DEFLATED, window)
    with open(path, "rb") as source, open(packed, "wb") as target:
        while block := source.read(BLOCK):
            target.write(compressor.compress(block))
        target.write(compressor.flush())
    path.unlink()


def finish_compressed(directory: Path, names: Sequence[str]) -> None:
    """Renames the compressed shards to their final names."""
    for name in names:
        path = directory / name
        os.replace(path.with_suffix(".packed"), path)
