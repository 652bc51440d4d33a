"""Disk cache of predicted fields, with which an interrupted prediction resumes."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from phire import files
from phire.errors import InputError
from phire.fields.source import ALL, Source, Times, member_count, read_members


class CachedSource:
    """Source whose blocks of fields are cached in a folder.

    Args:
        source: Source to cache.
        folder: Folder of the cache, created with the first block.
        identity: Options that the fields depend on; a cache of other options is discarded.
    """

    def __init__(self, source: Source, folder: str | os.PathLike, identity: Any) -> None:
        self.source = source
        self.folder = Path(folder)
        self.identity = json.dumps(files.plain(identity), sort_keys=True)
        self.channels, self.units = source.channels, source.units
        self.grid, self.time = source.grid, source.time
        self.members = member_count(source)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields, (n, H, W, C); those of an ensemble are averaged over the members."""
        return self.read_members(times).mean(1)

    def read_members(self, times: Times, members: slice = ALL) -> np.ndarray:
        """Reads fields of members; see :class:`phire.fields.source.MemberSource`.

        Only slices of ``times`` are cached: each block of times and members has a file of its own.
        """
        if not isinstance(times, slice):
            return read_members(self.source, times, members)
        start, stop, _ = times.indices(len(self.time))
        first, last, _ = members.indices(self.members)
        path = self.folder / f"{start:08d}-{stop:08d}-members-{first}-{last}.npy"
        self._prepare()
        if path.exists():
            return np.load(path)
        fields = read_members(self.source, times, members)
        with files.replacing(path) as partial, open(partial, "wb") as stream:
            np.save(stream, fields)
        return fields

    def _prepare(self) -> None:
        """Creates the folder, and discards blocks that were computed with other options."""
        identity = self.folder / "identity.json"
        if identity.exists() and identity.read_text(encoding="utf-8") == self.identity:
            return
        files.remove(self.folder)
        files.write_text(identity, self.identity)


@contextlib.contextmanager
def cached(
    source: Source, output: str | os.PathLike, options: Mapping[str, Any]
) -> Iterator[Source]:
    """Caches a source's blocks while an output file is written from them.

    After an interruption the cache remains, and the next call with the same options reads from it.
    The cache is removed at the end of the ``with`` block, and after an :class:`InputError`, which
    the same command would only raise again.

    Args:
        source: Source to cache.
        output: Path of the output file; the cache is the folder ``.NAME.blocks`` beside it.
        options: Options that the fields depend on.

    Yields:
        The cached source.
    """
    output = Path(output)
    cache = CachedSource(source, output.with_name(f".{output.name}.blocks"), options)
    try:
        yield cache
    except InputError:
        files.remove(cache.folder)
        raise
    files.remove(cache.folder)
