"""Outputs on disk: written whole or not at all, and never by two different commands.

Everything phire writes is made under a temporary name beside its final one and renamed when it is
whole. What it was made by is kept with it, so that the same command can be given again.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime
import errno
import hashlib
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import sys
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


class Stated(str):
    """A fact in words for people, with the number or list that programs read.

    Args:
        text: The words.
        value: The value, in a form that JSON has.
    """

    value: Any

    def __new__(cls, text: str, value: Any) -> Stated:
        stated = super().__new__(cls, text)
        stated.value = value
        return stated


def list_stated(items: Sequence[str]) -> Stated:
    """Names after one another: ``a, b``."""
    return Stated(", ".join(map(str, items)), [str(item) for item in items])


def channels_stated(channels: Sequence[str], units: Sequence[str]) -> Stated:
    """Channels with their units: ``u (m s-1), v (m s-1)``; units that are not known are null."""
    units = [*units, *[""] * (len(channels) - len(units))]
    return Stated(
        ", ".join(f"{name} ({unit or 'units unknown'})" for name, unit in zip(channels, units)),
        [{"name": str(name), "units": unit or None} for name, unit in zip(channels, units)],
    )


def size_stated(sizes: Sequence[int]) -> Stated:
    """Sizes of an array: ``32 × 32``."""
    return Stated(" × ".join(map(str, sizes)), [int(size) for size in sizes])


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


def differences(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Names the options in which two commands differ, as ``name was recorded, now wanted``.

    Paths are equal where they lead to the same place. Fingerprints are told by the files that they
    are of: an option ``X_fingerprint`` belongs to ``X``, one without ``X`` to the main input.
    """
    recorded, wanted = _canonical(plain(recorded)), _canonical(plain(wanted))
    found = []
    for name in sorted({*recorded, *wanted}):
        was, now = recorded.get(name, "not set"), wanted.get(name, "not set")
        if was == now:
            continue
        if "fingerprint" in name:
            found += _changed(name, recorded, wanted)
            continue
        inside = []
        if isinstance(was, dict) and isinstance(now, dict):
            inside = differences(was, now)
        only_content = inside and all(text.startswith(_CONTENT) for text in inside)
        found += inside if only_content else [f"{name} was {was!r}, now {now!r}"]
    if not found and recorded != wanted:
        found.append(f"{_CONTENT}an input has changed")
    return found


def _canonical(value: Any) -> Any:
    """Returns a plain value with absolute paths free of ``..`` and links."""
    if isinstance(value, dict):
        return {_canonical(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, str) and os.path.isabs(value) and "\n" not in value:
        return os.path.realpath(value)
    return value


def _changed(name: str, recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Names the files whose fingerprints differ; none where other paths were given, too."""
    was, now = recorded.get(name), wanted.get(name)
    if isinstance(was, dict) and isinstance(now, dict) and "digest" not in now:
        paths = [path for path in now if was.get(path, now[path]) != now[path]]
    else:
        of = re.sub("_?fingerprints?$", "", name)
        owners = [owner for owner in ([of] if of in wanted else _INPUTS) if owner in wanted]
        if any(recorded.get(owner) != wanted[owner] for owner in owners):
            return []
        paths = _texts([wanted[owner] for owner in owners])
        if isinstance(was, list) and isinstance(now, list) and len(was) == len(now) == len(paths):
            paths = [path for path, a, b in zip(paths, was, now) if a != b]
    return [f"{_CONTENT}{path} has changed" for path in paths]


def _texts(value: Any) -> list[str]:
    """Returns the texts in lists and dictionaries of texts, in order."""
    if isinstance(value, dict) and "digest" in value:  # many paths, kept by their ends
        return [f"one of {value['count']} files ({value['first']} … {value['last']})"]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [str(value)]


def already_made(
    path: str | os.PathLike,
    recorded: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    overwrite: bool = False,
) -> bool:
    """Returns True if an output exists and was made by the same options.

    Args:
        path: The output, with its final name.
        recorded: The options kept with what is there, or None where something is there that phire
            did not make by this kind of command. Not looked at when nothing is there.
        options: The options of the command now given.
        overwrite: Replace an output that is there.

    Returns:
        True where the output is there and the options are equal; False where nothing is there or
        ``overwrite`` is set: then it has to be made. Nothing is removed by this function.

    Raises:
        InputError: Something else is there, or the same by other options; the message says which.
    """
    path = Path(path)
    if overwrite or not os.path.lexists(path):
        return False
    if recorded is None:
        raise InputError(
            f"{path} exists and was not made by this command: name another output, or pass "
            "--overwrite to replace it."
        )
    found = differences(recorded, options)
    if found:
        raise InputError(
            f"{path} was made by other options ({'; '.join(found)}): name another output, or pass "
            "--overwrite to make it again."
        )
    return True


def fingerprint(path: str | os.PathLike) -> str:
    """Returns a short hash of a file or directory, which changes with its content.

    Of files larger than 4 MiB, the size and sixteen stretches spread over the file are hashed, so
    that terabytes cost no more than megabytes.
    """
    path = Path(path)
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.relative_to(path) if file != path else ''}:{size}".encode())
        with open(file, "rb") as stream:
            if size <= 4 << 20:
                digest.update(stream.read())
            else:
                for i in range(16):
                    stream.seek(i * (size - (1 << 16)) // 15)
                    digest.update(stream.read(1 << 16))
    return digest.hexdigest()[:16]


def provenance(options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns an output's provenance: command line, time, versions, and options as resolved."""
    packages = ("phire", "numpy", "h5py", "tensorflow", "keras", "ducc0", "xarray", "dask")
    versions = {"python": sys.version.split()[0]}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    made = {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "versions": versions,
    }
    return made if options is None else {**made, "options": plain(options)}


def history(record: Mapping[str, Any]) -> str:
    """Returns the CF attribute ``history`` of an output: when it was made, and by which command."""
    return f"{record['created']}: {shlex.join(record['command'])}"


def counted(count: int, noun: str) -> str:
    """Returns a number with its noun: ``1 field``, ``2 fields``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def size_text(count: int) -> str:
    """Returns a number of bytes for people: ``6.29 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
