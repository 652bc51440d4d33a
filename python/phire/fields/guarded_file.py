"""Files that HDF5 can close without a crash if the disk is full.

HDF5 ends the process with a segmentation fault if a write fails while it closes a file. The file
object of this module reports success for every write: data that the disk refuses are held in
memory until the file is closed, and :meth:`GuardedFile.check` raises the error.
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
    """New file, open for reading and writing, whose writes never fail.

    Args:
        path: Path of the file, which is created or emptied.

    Attributes:
        error: First error of a write, after which all data stay in memory; None before.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        self._position = 0
        self._size = 0
        self._refused: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raises the error of the first failed write, if one failed.

        Raises:
            OSError: A write failed.
        """
        if self.error is not None:
            raise self.error

    def write(self, data: Any) -> int:
        """Writes data at the current position; after an error, to memory."""
        view = memoryview(data).cast("B")
        if self.error is None:
            try:
                done = 0
                while done < len(view):
                    done += os.pwrite(self._descriptor, view[done:], self._position + done)
            except OSError as error:
                self.error = error
        # After an error nothing more goes to the disk, so that reads see the latest data in memory.
        if self.error is not None:
            self._refused.append((self._position, bytes(view)))
        self._position += len(view)
        self._size = max(self._size, self._position)
        return len(view)

    def readinto(self, buffer: Any) -> int:
        """Reads from the current position, with data in memory in place of the disk's."""
        view = memoryview(buffer).cast("B")
        start = self._position
        count = max(0, min(len(view), self._size - start))
        read = os.preadv(self._descriptor, [view[:count]], start) if count else 0
        view[read:count] = bytes(count - read)  # zeros beyond the end of the file on disk
        for place, data in self._refused:
            first, last = max(start, place), min(start + count, place + len(data))
            if first < last:
                view[first - start : last - start] = data[first - place : last - place]
        self._position += count
        return count

    def truncate(self, size: int | None = None) -> int:
        """Sets the size of the file (bytes), by default to the current position."""
        size = self._position if size is None else size
        if self.error is None:
            try:
                os.ftruncate(self._descriptor, size)
            except OSError as error:
                self.error = error
        self._size = size
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves the current position and returns it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Returns the current position."""
        return self._position

    def readable(self) -> bool:
        """Returns True."""
        return True

    def writable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def close(self) -> None:
        """Closes the file and discards the data in memory."""
        if not self.closed:
            os.close(self._descriptor)
            self._refused.clear()
        super().close()


class GuardedHDF5(h5py.File):
    """New HDF5 file that raises OSError from :meth:`check` and :meth:`close` on a full disk.

    Args:
        path: Path of the file, which is created or emptied.
        in_order: List datasets in the order of their creation, as NetCDF does. By default they
            are listed by name.
    """

    def __init__(self, path: str | os.PathLike, in_order: bool = False) -> None:
        self._guarded = GuardedFile(path)
        # HDF5's default, the oldest format, limits attributes to 64 KiB.
        super().__init__(self._guarded, "w", libver=("v108", "latest"), track_order=in_order)

    def check(self) -> None:
        """Raises the error of the first failed write, if one failed.

        Raises:
            OSError: A write failed.
        """
        self._guarded.check()

    def close(self) -> None:
        """Closes the file.

        Raises:
            OSError: This or an earlier write failed.
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
        path: Path of the file.
        encoding: Encoding by variable, as for ``xarray.Dataset.to_netcdf``.

    Raises:
        OSError: The disk is full.
    """
    with GuardedHDF5(path, in_order=True) as guarded, h5netcdf.File(guarded, "a") as file:
        dataset.dump_to_store(
            xr.backends.H5NetCDFStore(file),
            encoding={k: dict(v) for k, v in (encoding or {}).items()},
        )
