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
from phire.fields.normalization import KINDS, Normalization, fit_normalization
from phire.fields.store import FieldStore
from phire.records import writing
from phire.records.cutting import Cuts, Cutter, cut_fields
from phire.records.layers import Layers
from phire.records.manifest import NAME, Manifest, recorded_options
from phire.records.sampling import Blocked, PairPlan, PatchPlan, Window
from phire.records.spreading import spread
from phire.records.survey import Survey, refuse_missing, survey

Plan = PairPlan | PatchPlan
COMPRESSIONS = ("none", "zlib", "gzip")
DTYPES = ("float32", "float16")
MISSING = ("skip", "fill", "error")
CHUNK_BYTES = 1 << 25
"""Bytes of fields in one task: small enough to be lost, large enough not to be counted."""


def common_options(
    store: FieldStore, *, shards: int, compression: str, dtype: str, normalization: str | None,
    missing: str, statistics: Any, seed: int, time: Any,
) -> dict[str, Any]:  # fmt: skip
    """The options that both kinds of records share, checked, as they are recorded.

    Without a ``normalization`` it is that of the ``statistics``, else log1p.

    Raises:
        InputError: An option is impossible.
    """
    if normalization is None:
        normalization = "log1p" if statistics is None else _load_statistics(statistics).kind
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
    if seed < 0:
        raise InputError(f"--seed {seed} must be a whole number from 0 on.")
    if dtype == "float16" and normalization == "none":
        raise InputError(
            "--dtype float16 holds numbers of unit size only: choose a --normalization, or float32."
        )
    return {
        "store": str(store.path.resolve()),
        "fingerprint": files.fingerprint(store.path),
        "shards": shards,
        "compression": compression,
        "dtype": dtype,
        "normalization": normalization,
        "missing": missing,
        "statistics": None if statistics is None else str(Path(statistics).resolve()),
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


def get_normalization(
    source: FieldStore, kind: str, chosen: np.ndarray, statistics: str | os.PathLike | None
) -> Normalization:
    """The normalisation of a file of statistics or of other records, else fitted to the fields.

    Raises:
        InputError: The file does not fit the fields.
    """
    if statistics is None:
        try:
            return fit_normalization(source, kind=kind, times=chosen)
        except InputError as error:
            raise InputError(f"{source.path}: {error}") from None
    found = _load_statistics(statistics).select(source.channels)
    if kind not in (found.kind, "none") and not (kind == "z" and found.mean):
        raise InputError(
            f"--statistics {statistics} holds the normalization {found.kind}, --normalization is "
            f"{kind}: leave out --normalization to take that, or --statistics to fit another."
        )
    if kind == found.kind:
        return found
    return dataclasses.replace(found, kind=kind, log_mean=None, log_std=None)


def _load_statistics(path: str | os.PathLike) -> Normalization:
    """The normalisation that a file of statistics or a directory of records holds."""
    if (Path(path) / NAME).is_file():
        return Manifest.load(path).schema.normalization
    return Normalization.load(path)


@contextlib.contextmanager
def new_records(
    output: str | os.PathLike, options: Mapping[str, Any], overwrite: bool
) -> Iterator[Path | None]:
    """Yields the temporary directory to write records in; None where they are made already.

    Raises:
        InputError: The output is one of the inputs, or something else made it.
    """
    for name in ("store", "low", "statistics"):
        source = options.get(name)
        given = None if source is None else Path(source).resolve()
        if given and Path(output).resolve() in (given, *given.parents):
            raise InputError(f"{output} is or holds {source}, which is read: name another output.")
    recorded = None if overwrite or not Path(output).exists() else recorded_options(output)
    if files.already_made(output, recorded, options, overwrite):
        progress.say(f"{output} is already made by this command.")
        yield None
        return
    with files.replacing(output) as partial:
        partial.mkdir()
        yield partial


@dataclasses.dataclass(frozen=True)
class Draft:
    """What a kind of records decides for itself.

    Attributes:
        layers: The fields.
        place: Where patches may lie.
        draw: Draws the plan, avoiding blocked patches and absent fields.
        arrange: What the records of a plan hold and where their pixels come from.
    """

    layers: Layers
    place: Window
    draw: Callable[[Blocked | None, np.ndarray | None], Plan]
    arrange: Callable[[Plan], tuple[writing.Contents, Cuts]]


@dataclasses.dataclass(frozen=True)
class Made:
    """Records that are written: their number, shards, normalisation, and what was missing."""

    count: int
    shards: tuple[str, ...]
    normalization: Normalization
    missing: dict[str, Any] | None


def common_facts(
    store: FieldStore, chosen: np.ndarray, made: Made, options: Mapping[str, Any]
) -> dict[str, Any]:
    """What both kinds of records state in their manifest, by the names of its attributes.

    Args:
        store: The (high-resolution) fields.
        chosen: Indices of those that were in range.
        made: What was written.
        options: All options.
    """
    time = store.time[chosen]
    repeated = dict.fromkeys(time.format(int(index)) for index in time.repeated())
    return {
        "count": made.count,
        "shards": made.shards,
        "dtype": options["dtype"],
        "compression": options["compression"],
        "time": (time.format(0), time.format(-1)),
        "gaps": tuple((time.format(index), count) for index, count in time.gaps()),
        "repeated": tuple(repeated),
        "missing": made.missing,
        "options": files.plain(options),
        "provenance": files.provenance(),
    }


def make_records(
    directory: Path,
    store: FieldStore,
    chosen: np.ndarray,
    draft: Draft,
    options: Mapping[str, Any],
    client: Any,
) -> Made:
    """Draws the plan, cuts the patches, writes the shards.

    Args:
        directory: The directory to write in.
        store: The (high-resolution) fields.
        chosen: Indices of those that may be used.
        draft: What to draw and cut.
        options: As :func:`common_options` gives them.
        client: As :func:`phire.fields.cluster.cluster` yields it.

    Raises:
        InputError: Nothing can be drawn, or the fields do not suit the options.
        WorkError: Workers were lost again and again.
    """
    directory = directory.resolve()  # workers may stand elsewhere
    missing = options["missing"]

    def look() -> Survey:
        return survey(
            draft.layers, chosen, draft.place, time=store.time, path=store.path,
            directory=directory, client=client,
        )  # fmt: skip

    noted = None
    if missing == "error":
        refuse_missing(look(), store.time, store.path, len(chosen))
    fitted = get_normalization(store, options["normalization"], chosen, options["statistics"])
    plan = draft.draw(None, None)
    written = _write_pixels(directory, draft, plan, fitted, options, client, None)
    if written is None:
        # Values are missing after all: find out where, and draw anew.
        found = look()
        noted = found.note(missing, len(chosen))
        plan = draft.draw(found.blocked if missing == "skip" else None, found.absent)
        written = _write_pixels(directory, draft, plan, fitted, options, client, missing)
    contents, places, crcs = written
    names = writing.shard_names(options["shards"])
    parts = np.array_split(np.arange(contents.count), -(-contents.count // 4096))
    tasks = [
        (directory, names, contents.part(part), places.shard[part], places.offset[part],
         places.length[part], crcs[part])
        for part in parts
    ]  # fmt: skip
    _run(writing.seal, tasks, client, "closing records", "records", list(map(len, parts)))
    if options["compression"] != "none":
        tasks = [(directory / name, options["compression"]) for name in names]
        _run(writing.compress, tasks, client, "compressing", "shards", [1] * len(tasks))
        writing.finish_compressed(directory, names)
    return Made(contents.count, names, fitted, noted)


def _run(
    function: Callable, tasks: list, client: Any, description: str, unit: str, sizes: list
) -> None:
    for _ in spread(function, tasks, client, description=description, unit=unit, sizes=sizes):
        pass


def _write_pixels(
    directory: Path,
    draft: Draft,
    plan: Plan,
    normalization: Normalization,
    options: Mapping[str, Any],
    client: Any,
    missing: str | None,
) -> tuple[writing.Contents, writing.Places, np.ndarray] | None:
    """Writes the pixels of all records; None if something was missing unexpectedly."""
    contents, cuts = draft.arrange(plan)
    if options["shards"] > contents.count:
        raise InputError(
            f"--shards {options['shards']} is more than the {contents.count} records: choose fewer "
            "shards, so that each holds some."
        )
    places = writing.assign_places(contents, options["shards"], options["seed"])
    names = writing.shard_names(options["shards"])
    writing.allocate(directory, names, places.sizes)
    fill = None
    if missing == "fill":
        if normalization.mean is None:
            raise InputError(
                "--missing fill needs the channels' means, which --statistics does not hold: leave "
                "out --statistics to fit them."
            )
        fill = normalization.mean
    cutter = Cutter(
        draft.layers, normalization, options["dtype"], draft.place.wraps, fill,
        surveyed=missing is not None,
    )  # fmt: skip
    cuts = cuts.part(np.argsort(cuts.time, kind="stable"))
    layers = np.arange(len(draft.layers.layers))
    feature = cuts.feature[:, None] + layers
    offsets = places.pixel_offsets(contents)[cuts.record[:, None], feature]
    shard = places.shard[cuts.record]
    parts = _parts(cuts.time, draft.layers)
    tasks = [(cutter, directory, names, cuts.part(p), shard[p], offsets[p]) for p in parts]
    sizes = [len(np.unique(cuts.time[p])) for p in parts]
    crcs = np.zeros((contents.count, len(contents.pixels)), np.uint32)
    results = spread(
        cut_fields, tasks, client, description="cutting patches", unit="fields", sizes=sizes
    )
    # Shards that are still to be compressed are not kept.
    kept = names if options["compression"] == "none" else ()
    with files.flushing([directory / name for name in kept]), contextlib.closing(results):
        for part, found in zip(parts, results):
            if found is None:
                return None
            crcs[cuts.record[part, None], feature[part]] = found
    return contents, places, crcs


def _parts(times: np.ndarray, layers: Layers) -> list[slice]:
    """Splits sorted times where fields change, into parts of about :data:`CHUNK_BYTES`."""
    size = max(1, CHUNK_BYTES // layers.field_bytes)
    bounds = np.flatnonzero(np.diff(times, prepend=times[0] - 1))[::size]
    return [slice(a, b) for a, b in zip(bounds, [*bounds[1:], len(times)])]
