"""Fields that cost much to compute, kept until all of them are written."""

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


class KeptSource:
    """A source that keeps what it has read in a folder, and reads it from there the next time.

    Args:
        source: The source.
        folder: The folder; it is made with the first block.
        identity: What the fields depend on; a folder of another identity is emptied.
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

        A block (a slice) that was read before comes from the folder.
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
def kept(source: Source, output: str | os.PathLike, options: Mapping[str, Any]) -> Iterator[Source]:
    """A source whose blocks outlive an interruption of the block, beside the output being made.

    They are removed when the block ends as it should, and where the input cannot be used: there is
    nothing to go on from.

    Args:
        source: The source.
        output: What is made of it; the blocks lie in ``.NAME.blocks`` beside it.
        options: What the fields depend on.
    """
    output = Path(output)
    made = KeptSource(source, output.with_name(f".{output.name}.blocks"), options)
    try:
        yield made
    except InputError:
        files.remove(made.folder)
        raise
    files.remove(made.folder)
