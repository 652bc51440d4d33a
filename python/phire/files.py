"""Atomic writes of outputs: files and directories are complete or do not exist.

Every output is written under a temporary name in its final directory and renamed when complete.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from phire import interruption
from phire.errors import InputError, WorkError

PARTIAL = ".partial"
_NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT)
"""Error numbers of a directory in which no file can be created."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a full disk, an exceeded quota, or a file above the allowed size."""
_CUT_SHORT = re.compile(r"\d+ requested and \d+ written")
"""NumPy's message for a full disk; its exception has no error number."""
FLUSHED_EVERY = 0.2
"""Seconds between two flushes of :func:`flushing`."""


def partial_path(path: str | os.PathLike) -> Path:
    """Returns the temporary path, in the same directory, at which ``path`` is written."""
    path = Path(path)
    return path.with_name(f".{path.name}{PARTIAL}")


def remove(path: str | os.PathLike) -> None:
    """Removes a file, a link or a whole directory; does nothing if it does not exist."""
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def require_place(path: str | os.PathLike, keep_partial: bool = False) -> None:
    """Checks that an output can be created, and creates its parent directories.

    Called before long work, so that a wrong path fails at once.

    Args:
        path: Final path of the output.
        keep_partial: Keep a partial output of an interrupted run, as in :func:`replacing`.

    Raises:
        InputError: No file can be created at the path: no permission, or a parent is a file.
    """
    path = Path(path)
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not keep_partial:
            remove(partial)
        if not partial.exists():
            # Errors of HDF5 and NetCDF do not name the reason; the operating system's error does.
            with interruption.deferred():
                partial.touch()
                partial.unlink()
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise
        file = next((str(parent) for parent in path.parents if parent.is_file()), None)
        reason = error.strerror.lower() if file is None else f"{file} is a file"
        raise InputError(f"{path} cannot be created ({reason}): name another output.") from None


@contextlib.contextmanager
def replacing(path: str | os.PathLike, keep_partial: bool = False) -> Iterator[Path]:
    """Writes a file or directory atomically, through a temporary path.

    At the end of the block the temporary path is renamed. If the block raises, the final path is
    not changed.

    Args:
        path: Final path. Its parent directories are created; an existing output is replaced.
        keep_partial: Keep the partial output of an interrupted run and of a failing block, for
            work that can continue from it. By default it is removed.

    Yields:
        The temporary path, in the directory of ``path``, at which the block creates the output.

    Raises:
        InputError: No file can be created at the path.
        DiskFull: The disk is full.
        Interrupted: A signal was received that a library in the block swallowed.
    """
    path = Path(path)
    partial = partial_path(path)
    require_place(path, keep_partial)
    try:
        yield partial
        _flush(partial)
        interruption.check()
        with interruption.deferred():
            if path.is_dir():
                remove(path)  # os.replace cannot replace a directory that is not empty
            os.replace(partial, path)
    except BaseException as error:
        if not keep_partial:
            with interruption.deferred(raises=False):
                remove(partial)
        if disk_is_full(error):
            raise DiskFull(path) from error
        raise


class DiskFull(WorkError):
    """Error of a write to a full disk.

    Args:
        path: The output that was being written.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        super().__init__(
            f"{path} could not be written, the disk is full: free some space there and give the "
            "same command again, or name an output elsewhere."
        )


def disk_is_full(error: BaseException | None) -> bool:
    """Returns True if an exception, or one of its causes, means that the disk is full.

    Libraries report it differently: by an error number, or by the text of the message only.
    """
    while error is not None:
        text = str(error)
        if (
            isinstance(error, DiskFull)
            or getattr(error, "errno", None) in _FULL
            or (isinstance(error, OSError) and _CUT_SHORT.search(text))
            or any(os.strerror(number) in text for number in _FULL)
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a small UTF-8 text file atomically."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes a JSON file atomically, indented and with keys in the given order."""
    write_text(path, json.dumps(value, indent=2, default=plain) + "\n")


def _flush(path: Path) -> None:
    # The file system may store a rename before the file's content. Without fsync, a power failure
    # between both would leave an empty file at the final path.
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def flushing(paths: Sequence[str | os.PathLike]) -> Iterator[None]:
    """Flushes existing files to the disk in a thread while the block writes to them.

    The final flush of :func:`replacing` is short then. Linux by itself begins to write only when
    unwritten data fill a tenth of the memory.

    Args:
        paths: Files or directories that exist before the block.

    Raises:
        OSError: The disk failed, or is full.
    """
    done = threading.Event()

    def flush() -> None:
        while not done.wait(FLUSHED_EVERY):
            for path in paths:
                if not done.is_set():
                    _flush(Path(path))

    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        flushed = executor.submit(flush)
        try:
            yield
        finally:
            done.set()
        flushed.result()


def plain(value: Any) -> Any:
    """Returns a value as JSON and YAML can hold it: paths as texts, arrays and tuples as lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return value.tolist()
    return value
