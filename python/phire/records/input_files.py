"""Inputs of records: files given as ``FILE`` or ``FILE:NAMES``, opened as sources of fields."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire import provenance
from phire.errors import InputError
from phire.fields.common_times import find_common_times
from phire.fields.opening import STORE, expand, format_of, open_source, split_names
from phire.fields.source import ArraySource, Source, Times
from phire.fields.store import FieldStore

LOADED_BYTES = 1 << 28
"""NetCDF, Zarr and GRIB files up to this size are read at once, because opening a variable for
each field costs milliseconds."""

_READING = threading.Lock()
"""Lock for opening files and for reading all but stores: netCDF's library is not thread-safe."""


class InputFile:
    """Input file of records; a :class:`phire.fields.source.Source`.

    Only its path is sent to workers, and each worker opens the file once.

    Args:
        text: ``FILE`` or ``FILE:NAMES``; a file may be a pattern of several.
        option: Option that names the file, for messages.
        names: Channels wanted if ``text`` names none; None for all.

    Attributes:
        path: The file.
        option: Option that names the file, for messages.
        channels, units, grid, time: See :class:`phire.fields.source.Source`.

    Raises:
        InputError: The file is missing or lacks a channel.
    """

    def __init__(
        self,
        text: str | os.PathLike,
        option: str = "",
        names: Sequence[str] | None = None,
    ) -> None:
        path, found = split_names(text)
        self.option = option
        self.path = path if any(c in path for c in "*?[") else str(Path(path).resolve())
        self._names = tuple(names) if found is None and names is not None else found
        try:
            self.files = expand(path)
            self._stamp = tuple((os.stat(f).st_size, os.stat(f).st_mtime_ns) for f in self.files)
            self._source: Source | None = _open(self.path, self._names)
        except InputError as error:
            raise InputError(f"{option}: {error}" if option else str(error)) from None
        self.channels = tuple(self._source.channels)
        self.units = tuple(self._source.units)
        self.grid = self._source.grid
        self.time = self._source.time

    def __str__(self) -> str:
        return f"{self.option} {self.path}".strip()

    @property
    def fingerprint(self) -> str:
        """Returns the fingerprint of the file's content."""
        return ",".join(provenance.fingerprint(file) for file in self.files)

    @property
    def recorded(self) -> str:
        """Returns ``FILE:NAMES`` with the absolute path, valid from any directory."""
        return self.path if self._names is None else f"{self.path}:{','.join(self._names)}"

    @property
    def field_bytes(self) -> int:
        """Size of one field in memory, bytes."""
        rows, columns = self.grid.shape
        return 4 * len(self.channels) * rows * columns

    def select(self, names: Sequence[str]) -> InputFile:
        """Returns the file with only these channels, in this order."""
        if tuple(names) == self.channels:
            return self
        self.close()
        return InputFile(self.path, self.option, tuple(names))

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        source = self._get()
        if isinstance(source, (_StoreChannels, ArraySource)):
            return source.read(times)
        with _READING:
            return source.read(times)

    def read_planes(self, time: int) -> np.ndarray:
        """Reads one field, channels first: (C, H, W) float32."""
        source = self._get()
        if isinstance(source, _StoreChannels):
            return source.read_planes(time)
        return np.ascontiguousarray(np.moveaxis(self.read([time])[0], -1, 0))

    def _get(self) -> Source:
        if self._source is not None:
            return self._source
        with _READING:
            return _opened(self.path, self._names, self._stamp)

    def close(self) -> None:
        """Closes the file."""
        if hasattr(self._source, "close"):
            self._source.close()
        self._source = None

    def __enter__(self) -> InputFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_source": None}


class _StoreChannels:
    """Selected channels of a field store, read one by one."""

    def __init__(self, store: FieldStore, names: Sequence[str] | None) -> None:
        for name in names or ():
            if name not in store.channels:
                store.close()
                raise InputError(
                    f"{store.path} has no channel {name!r}; it has {', '.join(store.channels)}."
                )
        names = tuple(names or store.channels)
        self._store = store
        self._places = [store.channels.index(name) for name in names]
        self.channels = names
        self.units = tuple(store.units[place] for place in self._places)
        self.grid, self.time = store.grid, store.time

    def read(self, times: Times) -> np.ndarray:
        fields = self._store.read(times)
        whole = self._places == list(range(fields.shape[-1]))
        return fields if whole else fields[..., self._places]

    def read_planes(self, time: int) -> np.ndarray:
        return self._store.read_planes(time, self._places)

    def close(self) -> None:
        self._store.close()


def _open(path: str, names: tuple[str, ...] | None) -> Source:
    found = expand(path)
    if len(found) == 1 and format_of(found[0]) == STORE:
        return _StoreChannels(FieldStore(found[0]), names)
    source = open_source(path, names)
    rows, columns = source.grid.shape
    if 4 * len(source.time) * len(source.channels) * rows * columns > LOADED_BYTES:
        return source
    with source:
        return ArraySource(
            source.read(slice(None)), channels=source.channels, units=source.units,
            grid=source.grid, time=source.time,
        )  # fmt: skip


@functools.lru_cache(maxsize=16)
def _opened(path: str, names: tuple[str, ...] | None, stamp: tuple) -> Source:
    # `stamp` is part of the cache key: a worker may outlive a file that is replaced meanwhile.
    return _open(path, names)


def common_times(file: InputFile, high: InputFile) -> np.ndarray:
    """Finds the index of an input's field at the time of each fine field; -1 where it has none.

    Raises:
        InputError: A time occurs twice, or the files have no time in common.
    """
    file.time.require_unique(str(file))
    high.time.require_unique(str(high.path))
    return find_common_times(high.time, file.time, names=(str(high.path), str(file)))
