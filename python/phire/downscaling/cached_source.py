"""Disk cache of predicted fields, so that an interrupted prediction goes on where it stopped."""

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
from phire.fields.source import Source, Times, member_count, read_members


class CachedSource:
    """Source whose blocks of fields are cached in a folder.

    Args:
        source: The source to cache.
        folder: Folder of the cache; it is created with the first block.
        identity: Options that the fields depend on. A cache of another identity is emptied.
    """

    def __init__(self, source: Source, folder: str | os.PathLike, identity: Any) -> None:
        self.source = source
        self.folder = Path(folder)
        self.identity = json.dumps(files.plain(identity), sort_keys=True)
        self.channels, self.units = source.channels, source.units
        self.grid, self.time = source.grid, source.time
        self.members = member_count(source)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields, of an ensemble their mean; see :meth:`read_members`."""
        return self.read_members(times).mean(1)

    def read_members(self, times: Times) -> np.ndarray:
        """Reads fields of all members, (n, M, H, W, C).

        ``times`` as a slice is a block: it is read from the cache if it is there.
        """
        if not isinstance(times, slice):
            return read_members(self.source, times)
        start, stop, _ = times.indices(len(self.time))
        path = self.folder / f"{start:08d}-{stop:08d}.npy"
        self._prepare()
        if path.exists():
            return np.load(path)
        fields = read_members(self.source, times)
        with files.replacing(path) as partial, open(partial, "wb") as stream:
            np.save(stream, fields)
        return fields

    def _prepare(self) -> None:
        identity = self.folder / "identity.json"
        if identity.exists() and identity.read_text(encoding="utf-8") == self.identity:
            return
        files.remove(self.folder)
        files.write_text(identity, self.identity)


@contextlib.contextmanager
def cached(
    source: Source, output: str | os.PathLike, options: Mapping[str, Any]
) -> Iterator[Source]:
    """Caches a source's blocks beside an output until that output is written.

    After an interruption the cache stays, and the next call with the same options reads from it. It
    is removed when the ``with`` block ends, and after an :class:`InputError`, which the same
    command would raise again.

    Args:
        source: The source to cache.
        output: File that is written from it; the cache is ``.NAME.blocks`` beside it.
        options: Options that the fields depend on.
    """
    output = Path(output)
    cache = CachedSource(source, output.with_name(f".{output.name}.blocks"), options)
    try:
        yield cache
    except InputError:
        files.remove(cache.folder)
        raise
    files.remove(cache.folder)
