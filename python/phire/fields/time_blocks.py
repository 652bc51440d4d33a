"""Blocks of times, and of members, whose fields are held in memory at once."""

from __future__ import annotations

from collections.abc import Iterator

from phire.fields.source import Source, member_count

BLOCK_BYTES = 64 << 20
"""Size (bytes) of the float32 fields read at once; computations need a few times as much memory."""

CHUNK_BYTES = 256 << 20
"""The same size if one compressed chunk of the source's file exceeds :data:`BLOCK_BYTES`."""


def blocks(source: Source, count: int) -> Iterator[slice]:
    """Yields slices of times whose fields fit in memory, in whole chunks of the source's file.

    Args:
        source: The source.
        count: Number of fields.
    """
    height, width = source.grid.shape
    field = 4 * height * width * len(source.channels) * member_count(source)
    size = max(1, BLOCK_BYTES // field)
    chunk = getattr(source, "time_chunk", 1)
    if chunk > size:
        size = min(chunk, max(1, CHUNK_BYTES // field))
    else:
        size -= size % chunk
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def member_blocks(source: Source, count: int) -> Iterator[tuple[slice, slice]]:
    """Yields slices of times and members whose fields fit in memory, however many members.

    All members are in one slice if the fields of one time fit in memory.

    Args:
        source: The source, possibly of an ensemble.
        count: Number of times.
    """
    height, width = source.grid.shape
    members = member_count(source)
    for times in blocks(source, count):
        size = members
        if times.stop - times.start == 1:
            size = max(1, BLOCK_BYTES // (4 * height * width * len(source.channels)))
        for first in range(0, members, size):
            yield times, slice(first, min(first + size, members))
