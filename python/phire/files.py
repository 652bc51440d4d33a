"""Outputs on disk: written whole or not at all.

Everything phire writes gets a temporary name beside its final one and is renamed when it is whole.
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
"""Errors of a place where nothing can be made."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk that takes no more: full, above a quota, or above the size of files allowed."""
_CUT_SHORT = re.compile(r"\d+ requested and \d+ written")
"""Message of NumPy, without an error number, where the disk is full."""
_INPUTS = ("sources", "stores", "folder", "records", "store", "path", "metric", "truth", "source",
           "candidates", "run")  # fmt: skip
"""Options that name a command's main inputs, in the order of their fingerprints."""
_CONTENT = "the content of "
FLUSHED_EVERY = 0.2
"""Seconds between two flushes of :func:`flushing`."""


def partial_path(path: str | os.PathLike) -> Path:
    """Returns the temporary name beside ``path`` under which it is written."""
    path = Path(path)
    return path.with_name(f".{path.name}{PARTIAL}")


def remove(path: str | os.PathLike) -> None:
    """Removes a file or a whole directory, if it is there."""
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def require_place(path: str | os.PathLike, keep_partial: bool = False) -> None:
    """Checks that an output can be made, before work is spent on it; makes its parent directories.

    Args:
        path: The final path.
        keep_partial: As :func:`replacing` takes it.

    Raises:
        InputError: Nothing can be made in that place.
    """
    path = Path(path)
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not keep_partial:
            remove(partial)
        if not partial.exists():
            # Libraries that write files tell little of why they cannot.
            with interruption.deferred():
                partial.touch()
                partial.unlink()
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise
        file = next((str(parent) for parent in path.parents if parent.is_file()), None)
        reason = error.strerror.lower() if file is None else f"{file} is a file"
        raise InputError(f"{path} cannot be made ({reason}): name another output.") from None


@contextlib.contextmanager
def replacing(path: str | os.PathLike, keep_partial: bool = False) -> Iterator[Path]:
    """Yields a temporary path to write a file or a directory at; renames it when the block ends.

    Args:
        path: The final path. Its parent directories are made.
        keep_partial: Leave what an earlier, interrupted writer left under the temporary name (for
            work that can go on from there), also when the block raises. By default it is removed.

    Yields:
        The temporary path, in the same directory. The block makes a file or directory there.

    Raises:
        InputError: Nothing can be made in that place.
        DiskFull: The disk is full.
        Interrupted: A signal came that something within the block swallowed.
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
                remove(path)  # os.replace cannot put a directory over one that holds something
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
    """Returns True if an exception, or one that led to it, comes of a full disk.

    Libraries that write files tell it in their own ways: by an error number, or in words only.
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
    """Writes a small text file whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes a JSON file (indented, keys in the order given) whole or not at all."""
    write_text(path, json.dumps(value, indent=2, default=plain) + "\n")


def _flush(path: Path) -> None:
    # A rename may reach the disk before the bytes do; a power cut would leave an empty file with
    # its final name.
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def flushing(paths: Sequence[str | os.PathLike]) -> Iterator[None]:
    """Sends to the disk, beside the block, what it writes to files that are there already.

    :func:`replacing` has little left to wait for then; the system by itself begins only when a
    tenth of the memory waits for the disk.

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
    """Returns the JSON and YAML form of an option's value: paths as strings, arrays and tuples
    as lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return value.tolist()
    return value
