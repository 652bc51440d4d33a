"""A file that HDF5 can always close, also on a full disk.

HDF5 ends the process with a segmentation fault where a write fails while it closes a file. Handed
this object instead of a path, it sees no failure: what the disk refuses stays in memory until the
file is closed, and the error is raised by :meth:`GuardedFile.check`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

import h5netcdf
import h5py
import xarray as xr


class GuardedFile(io.RawIOBase):
    """A new file open for reading and writing.

    Args:
        path: The file to make.

    Attributes:
        error: The first error of a write; from then on nothing goes to the disk.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        self._position = 0
        self._size = 0
        self._refused: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raises the error of the first write that failed."""
        if self.error is not None:
            raise self.error

    def write(self, data: Any) -> int:
        """Writes at the position; never fails."""
        view = memoryview(data).cast("B")
        if self.error is None:
            try:
                done = 0
                while done < len(view):
                    done += os.pwrite(self._descriptor, view[done:], self._position + done)
            except OSError as error:
                self.error = error
        if self.error is not None:
            self._refused.append((self._position, bytes(view)))
        self._position += len(view)
        self._size = max(self._size, self._position)
        return len(view)

    def readinto(self, buffer: Any) -> int:
        """Reads what was written, from the disk or from memory."""
        view = memoryview(buffer).cast("B")
        start = self._position
        count = max(0, min(len(view), self._size - start))
        read = os.preadv(self._descriptor, [view[:count]], start) if count else 0
        view[read:count] = bytes(count - read)
        for place, data in self._refused:
            first, last = max(start, place), min(start + count, place + len(data))
            if first < last:
                view[first - start : last - start] = data[first - place : last - place]
        self._position += count
        return count

    def truncate(self, size: int | None = None) -> int:
        """Sets the size; never fails."""
        size = self._position if size is None else size
        if self.error is None:
            try:
                os.ftruncate(self._descriptor, size)
            except OSError as error:
                self.error = error
        self._size = size
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves the position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Returns the position."""
        return self._position

    def readable(self) -> bool:
        """True."""
        return True

    def writable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def close(self) -> None:
        """Closes the file and frees what the disk refused."""
        if not self.closed:
            os.close(self._descriptor)
            self._refused.clear()
        super().close()


class GuardedHDF5(h5py.File):
    """A new HDF5 file; a full disk raises OSError from :meth:`check` and :meth:`close`.

    Args:
        path: The file to make.
        in_order: Keep the order in which its datasets are made, as NetCDF does; else they are
            listed by name.
    """

    def __init__(self, path: str | os.PathLike, in_order: bool = False) -> None:
        self._guarded = GuardedFile(path)
        # The oldest format holds attributes of up to 64 KiB only.
        super().__init__(self._guarded, "w", libver=("v108", "latest"), track_order=in_order)

    def check(self) -> None:
        """Raises the error of the first write that failed."""
        self._guarded.check()

    def close(self) -> None:
        """Closes the file.

        Raises:
            OSError: A write failed, now or before.
        """
        super().close()
        self._guarded.close()
        self._guarded.check()


def write_netcdf(
    dataset: xr.Dataset,
    path: str | os.PathLike,
    encoding: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Writes a dataset that fits in memory to a NetCDF-4 file.

    Args:
        dataset: The dataset.
        path: The file to make.
        encoding: Of variables, as ``xarray.Dataset.to_netcdf`` takes it.

    Raises:
        OSError: The disk is full.
    """
    with GuardedHDF5(path, in_order=True) as guarded, h5netcdf.File(guarded, "a") as file:
        dataset.dump_to_store(
            xr.backends.H5NetCDFStore(file),
            encoding={k: dict(v) for k, v in (encoding or {}).items()},
        )
