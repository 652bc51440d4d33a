"""Provenance: the options, command and versions that made an output, and its inputs' fingerprints.

Every output records the options that made it. The same command on it continues it or has nothing
to do; another one is refused, with the options that differ.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib.metadata
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phire import progress
from phire.errors import InputError
from phire.files import plain

_INPUTS = ("sources", "stores", "folder", "records", "store", "path", "metric", "truth", "source",
           "candidates", "run")  # fmt: skip
"""Options that name a command's main inputs, in the order of their fingerprints."""
_CONTENT = "the content of "


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
    announce: bool = True,
) -> bool:
    """Returns True if an output exists and was made by the same options.

    Args:
        path: The output, with its final name.
        recorded: The options kept with what is there, or None where something is there that phire
            did not make by this kind of command. Not looked at when nothing is there.
        options: The options of the command now given.
        overwrite: Replace an output that is there.
        announce: Tell the user where nothing is left to do.

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
    if announce:
        announce_finished(path)
    return True


def announce_finished(path: str | os.PathLike) -> None:
    """Tells the user that the command's output is there, so that nothing is left to do."""
    progress.say(f"{path} is already made by this command.")


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


def input_fingerprint(path: str | os.PathLike) -> str | None:
    """Returns the fingerprint of an input; None where it is missing, which opening it refuses."""
    return fingerprint(path) if Path(path).exists() else None


def record(options: Mapping[str, Any] | None = None) -> dict[str, Any]:
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
