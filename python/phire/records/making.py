"""What making pairs and making downscaling records have in common."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire import files, progress
from phire.errors import InputError
from phire.fields.cluster import run_tasks
from phire.fields.normalization import KINDS, Normalization, fit_normalization
from phire.fields.source import Source
from phire.fields.store import FieldStore
from phire.records import writing
from phire.records.manifest import NAME, Manifest, recorded_options
from phire.records.sampling import Missing

COMPRESSIONS = ("none", "zlib", "gzip")
DTYPES = ("float32", "float16")
MISSING = ("skip", "fill", "error")
CHUNK_BYTES = 1 << 28
"""Bytes of fields in one task: small enough to be lost, large enough not to be counted."""


def common_options(
    store: FieldStore, *, shards: int, compression: str, dtype: str, normalization: str,
    missing: str, statistics: Any, seed: int, time: Any,
) -> dict[str, Any]:  # fmt: skip
    """The options that both kinds of records share, checked, as they are recorded.

    Raises:
        InputError: An option is impossible.
    """
    for name, value, allowed in (
        ("--compression", compression, COMPRESSIONS),
        ("--dtype", dtype, DTYPES),
        ("--normalization", normalization, KINDS),
        ("--missing", missing, MISSING),
    ):
        if value not in allowed:
            raise InputError(f"{name} {value} must be one of {', '.join(allowed)}.")
    if shards < 1:
        raise InputError(f"--shards {shards} must be at least 1.")
    return {
        "store": str(store.path.absolute()),
        "fingerprint": files.fingerprint(store.path),
        "shards": shards,
        "compression": compression,
        "dtype": dtype,
        "normalization": normalization,
        "missing": missing,
        "statistics": None if statistics is None else str(Path(statistics).absolute()),
        "seed": seed,
        "time": ",".join(time) if isinstance(time, (tuple, list)) else time,
    }


def check_patch(patch: Sequence[int]) -> tuple[int, int]:
    """The patch as two positive whole numbers.

    Raises:
        InputError: It is none.
    """
    if len(patch) != 2 or min(patch) < 1:
        raise InputError(f"--patch {','.join(map(str, patch))} must be two positive numbers H,W.")
    return int(patch[0]), int(patch[1])


@dataclasses.dataclass(frozen=True)
class Scan:
    """What a first look at all fields found.

    Attributes:
        masks: (H, W) of each field with missing values, by its index.
        absent: Indices of the fields that are missing wholly.
    """

    masks: Mapping[int, np.ndarray]
    absent: np.ndarray


def _look(source: Source, times: np.ndarray) -> list[tuple[int, np.ndarray | None, bool]]:
    found = []
    for time in times:
        field = source.read([time])[0]
        # One sum over the field tells whether anything in it is not finite.
        if np.isfinite(field.sum(dtype=np.float64)):
            continue
        missing = np.isnan(field).any(-1)
        infinite = bool(np.isinf(field).any())
        found.append((int(time), np.packbits(missing), infinite))
    return found


def scan_missing(
    source: Source, chosen: np.ndarray, missing: str, client: Any, path: object
) -> Scan:
    """Looks for missing and infinite values in the fields.

    Raises:
        InputError: There are infinite values, or missing ones and ``missing`` is ``error``.
    """
    parts = time_chunks(source, chosen)
    looked = run_tasks(
        _look, [(source, part) for part in parts], client,
        description="looking for missing values", unit="fields", sizes=map(len, parts),
    )  # fmt: skip
    height, width = source.grid.shape
    masks, absent = {}, []
    for time, packed, infinite in (item for part in looked for item in part):
        if infinite:
            raise InputError(
                f"{path} holds infinite values at {source.time.format(time)}: mark them as missing "
                "(NaN) or repair them."
            )
        mask = np.unpackbits(packed, count=height * width).reshape(height, width).astype(bool)
        if mask.all():
            absent.append(time)
        elif mask.any():
            masks[time] = mask
    affected = len(masks) + len(absent)
    if affected and missing == "error":
        first = source.time.format(min([*masks, *absent]))
        raise InputError(
            f"{path} has missing values in {affected} of {len(chosen)} fields (the first at "
            f"{first}): pass --missing skip or --missing fill, or repair them."
        )
    if len(absent) == len(chosen):
        raise InputError(f"{path}: all {len(chosen)} fields in range are missing wholly.")
    return Scan(masks, np.array(absent, dtype=np.int64))


def say_missing(scan: Scan, missing: str, count: int) -> dict[str, Any] | None:
    """Tells the user what is done about missing values; returns it for the manifest."""
    if not scan.masks and not len(scan.absent):
        return None
    done = (
        "patches that touch them are not drawn"
        if missing == "skip"
        else "they are filled with the channel's mean"
    )
    progress.say(
        f"{len(scan.masks)} of {count} fields have missing values: {done}; "
        f"{len(scan.absent)} are missing wholly and count as gaps."
    )
    return {"fields": len(scan.masks), "absent": len(scan.absent), "done": done}


def missing_of(scan: Scan, missing: str, wraps: bool) -> Missing | None:
    """What the sampling has to avoid."""
    return Missing(scan.masks, wraps) if scan.masks and missing == "skip" else None


def get_normalization(
    source: Source, kind: str, chosen: np.ndarray, statistics: str | os.PathLike | None
) -> Normalization:
    """The normalisation of a file of statistics or of other records, else fitted to the fields.

    Raises:
        InputError: The file does not fit the fields.
    """
    if statistics is None:
        return fit_normalization(source, kind=kind, times=chosen)
    path = Path(statistics)
    found = (
        Manifest.load(path).normalization if (path / NAME).is_file() else Normalization.load(path)
    )
    found = found.select(source.channels)
    if kind not in (found.kind, "none") and not (kind == "z" and found.mean):
        raise InputError(
            f"--statistics {path} holds the normalization {found.kind}, --normalization is {kind}: "
            "give the same, or leave out --statistics to fit it."
        )
    if kind == found.kind:
        return found
    return dataclasses.replace(found, kind=kind, log_mean=None, log_std=None)


def time_chunks(source: Source, times: np.ndarray) -> list[np.ndarray]:
    """Splits times into parts of about :data:`CHUNK_BYTES` of fields."""
    rows, columns = source.grid.shape
    size = max(1, CHUNK_BYTES // (4 * rows * columns * len(source.channels)))
    return [times[i : i + size] for i in range(0, len(times), size)]


@contextlib.contextmanager
def new_records(
    output: str | os.PathLike, options: Mapping[str, Any], overwrite: bool
) -> Iterator[Path | None]:
    """Yields the temporary directory to write records in; None where they are made already."""
    recorded = recorded_options(output) if Path(output).exists() else None
    if files.already_made(output, recorded, options, overwrite):
        progress.say(f"{output} is already made by this command.")
        yield None
        return
    with files.replacing(output) as partial:
        partial.mkdir()
        yield partial


def write_shards(
    directory: Path,
    places: writing.Places,
    function: Callable[..., None],
    tasks: Sequence[tuple],
    sizes: Sequence[int],
    compression: str,
    client: Any,
) -> tuple[str, ...]:
    """Writes all records: the tasks cut and place them, then the shards are compressed.

    Returns:
        The shards' file names.
    """
    directory = directory.absolute()  # workers may stand elsewhere
    names = writing.shard_names(len(places.sizes))
    writing.allocate(directory, names, places.sizes)
    run_tasks(
        function, [(directory, names, *task) for task in tasks], client,
        description="writing records", unit="records", sizes=sizes,
    )  # fmt: skip
    if compression != "none":
        run_tasks(
            writing.compress, [(directory / name, compression) for name in names], client,
            description="compressing", unit="shards",
        )  # fmt: skip
    return names
