"""Provenance of outputs: command, versions, options, and fingerprints of the inputs.

Every output stores the options that it was made with. :mod:`phire.existing_outputs` compares them
with those of a later run.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib.metadata
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phire.files import plain


def fingerprint(path: str | os.PathLike) -> str:
    """Returns a short hash of the content of a file or directory.

    For a file above 4 MiB only its size and sixteen blocks of 64 KiB, evenly spaced, are hashed,
    so that large files cost no more than small ones. A change outside of these blocks that keeps
    the size is not noticed.

    Args:
        path: A file, or a directory with all files below it.

    Returns:
        16 hexadecimal digits.
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
                for i in range(16):  # blocks of 64 kB, evenly spaced from start to end
                    stream.seek(i * (size - (1 << 16)) // 15)
                    digest.update(stream.read(1 << 16))
    return digest.hexdigest()[:16]


def input_fingerprint(path: str | os.PathLike) -> str | None:
    """Returns the fingerprint of an input; None if it does not exist (opening it then fails)."""
    return fingerprint(path) if Path(path).exists() else None


def record(options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns the provenance of an output that is being written.

    Args:
        options: Options of the run with their defaults; None leaves them out.

    Returns:
        Command line, time in UTC, versions of Python and of the main packages, and options.
    """
    packages = ("phire", "numpy", "h5py", "tensorflow", "keras", "ducc0", "xarray", "dask")
    versions = {"python": sys.version.split()[0]}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    provenance = {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions,
    }
    return provenance if options is None else {**provenance, "options": plain(options)}


def history(record: Mapping[str, Any]) -> str:
    """Returns the CF attribute ``history`` of an output: time and command line.

    Args:
        record: Provenance of the output; see the function :func:`record`.
    """
    return f"{record['created']}: {shlex.join(record['command'])}"
