"""Steps that writing pair records and writing downscaling records share."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire import files, provenance
from phire.errors import InputError
from phire.fields.normalization import Normalization, joined
from phire.fields.normalization_fit import fit_normalization
from phire.fields.normalization_kinds import parse_kinds
from phire.fields.source import Source
from phire.fields.time import TimeAxis
from phire.records import writing
from phire.records.anomalies import Anomalies, AnomalyFile, read_anomalies, write_anomalies
from phire.records.input_files import InputFile, split_names
from phire.records.manifest import NAME, Manifest, recorded_options
from phire.records.missing_value_survey import Survey, refuse_missing, survey
from phire.records.parallel_tasks import spread
from phire.records.patch_cutting import Cuts, Cutter, cut_fields
from phire.records.patch_sampling import Blocked, PairPlan, PatchPlan, Window
from phire.records.pixel_arrays import Layer, Layers

Plan = PairPlan | PatchPlan
CHUNK_BYTES = 1 << 25
"""Bytes of fields in one task: little work is lost with a worker, and scheduling costs little."""


def check_patch(patch: Sequence[int]) -> tuple[int, int]:
    """Returns a patch as two positive whole numbers.

    Raises:
        InputError: There are not two, or one is not positive.
    """
    if len(patch) != 2 or min(patch) < 1:
        raise InputError(f"--patch {','.join(map(str, patch))} must be two positive numbers H,W.")
    return int(patch[0]), int(patch[1])


@dataclasses.dataclass(frozen=True)
class Sampled:
    """Channels to fit a normalization to.

    Attributes:
        source: Their fields, in physical units.
        times: Indices of the fields to fit it to.
        name: Name of the channels' file in messages.
        default: Kind of normalization unless the user names one; None for log1p.
    """

    source: Source
    times: np.ndarray
    name: str
    default: str | None = None


def get_normalization(
    parts: Sequence[Sampled], kinds: str | None, statistics: str | os.PathLike | None
) -> Normalization:
    """Returns the normalization of all channels: from statistics or other records, else fitted.

    Args:
        parts: The channels; no name occurs twice.
        kinds: See :func:`phire.fields.normalization_kinds.parse_kinds`; None takes those of
            ``statistics``.
        statistics: The file or directory.

    Raises:
        InputError: A kind is impossible, or the file does not fit the fields.
    """
    names = [name for part in parts for name in part.source.channels]
    if statistics is None:
        default = [
            f"{name}={part.default}"
            for part in parts if part.default
            for name in part.source.channels
        ]  # fmt: skip
        wanted = dict(zip(names, parse_kinds(",".join([kinds, *default]), names)))
        wanted |= _named(kinds, names)
        fitted = []
        for part in parts:
            chosen = [wanted[name] for name in part.source.channels]
            try:
                fitted.append(fit_normalization(part.source, kind=chosen, times=part.times))
            except InputError as error:
                raise InputError(f"{part.name}: {error}") from None
        return joined(fitted)
    try:
        found = _load_statistics(statistics).select(names)
        return found if kinds is None else found.with_kinds(parse_kinds(kinds, names))
    except InputError as error:
        raise InputError(f"--statistics {statistics}: {error}") from None


def _named(kinds: str, names: Sequence[str]) -> dict[str, str]:
    """Returns the kinds of the channels that a text names one by one."""
    parsed = dict(zip(names, parse_kinds(kinds, names)))
    listed = {part.partition("=")[0].strip() for part in kinds.split(",") if "=" in part}
    return {name: kind for name, kind in parsed.items() if name in listed}


def check_dtype(dtype: str, normalization: Normalization) -> None:
    """Refuses float16 for physical values.

    Raises:
        InputError: A channel is not normalised.
    """
    plain = [c for c, kind in zip(normalization.channels, normalization.kinds) if kind == "none"]
    if dtype == "float16" and plain:
        raise InputError(
            f"--dtype float16 holds numbers of unit size only, and {', '.join(plain)} would not "
            "be normalised: choose a --normalization, or float32."
        )


def load_anomalies(path: str | os.PathLike) -> dict[str, Anomalies]:
    """Returns the climatologies of the arrays of other records; none of a file of statistics."""
    if not (Path(path) / NAME).is_file():
        return {}
    return read_anomalies(path, Manifest.load(path).schema.arrays)


def _load_statistics(path: str | os.PathLike) -> Normalization:
    """Returns the normalization of a file of statistics, or of all arrays of other records."""
    if not (Path(path) / NAME).is_file():
        return Normalization.load(path)
    found: dict[str, Normalization] = {}
    for array in Manifest.load(path).schema.arrays.values():
        for name in array.channels if array.normalization else ():
            found.setdefault(name, array.normalization.select([name]))
    return joined(list(found.values()))


@contextlib.contextmanager
def new_records(
    output: str | os.PathLike, options: Mapping[str, Any], overwrite: bool
) -> Iterator[Path | None]:
    """Yields the temporary directory to write records in; None where they are made already.

    Raises:
        InputError: The output is one of the inputs, or something else made it.
    """
    for source in _inputs(options):
        given = Path(source).resolve()
        if Path(output).resolve() in (given, *given.parents):
            raise InputError(f"{output} is or holds {source}, which is read: name another output.")
    recorded = None if overwrite or not Path(output).exists() else recorded_options(output)
    if provenance.already_made(output, recorded, options, overwrite):
        yield None
        return
    with files.replacing(output) as partial:
        partial.mkdir()
        yield partial


def _inputs(options: Mapping[str, Any]) -> Iterator[str]:
    """Yields the input paths among the options."""
    for name in ("store", "low", "predictors", "static", "auxiliary", "stations", "statistics"):
        values = options.get(name) or ()
        for value in [values] if isinstance(values, str) else values:
            yield split_names(value)[0]


@dataclasses.dataclass(frozen=True)
class Draft:
    """Steps of writing that differ between the kinds of records.

    Attributes:
        layers: The fields.
        place: Where patches may lie.
        draw: Function that draws the plan without blocked patches and absent fields.
        arrange: Function that returns the metadata of a plan's records and the sources of their
            pixels.
        fit: Function that returns the normalization of each layer, except layers of bits.
        masked: Returns the same with missing values marked by arrays of these names; None where
            they cannot be marked.
        least_valid: Share of a patch's targets that must be present where values are masked.
        fit_anomalies: Climatologies of the normalised arrays that have some, by name.
    """

    layers: Layers
    place: Window
    draw: Callable[[Blocked | None, np.ndarray | None], Plan]
    arrange: Callable[[Plan], tuple[writing.Contents, Cuts]]
    fit: Callable[[], Mapping[str, Normalization]]
    masked: Callable[[Sequence[str]], Draft] | None = None
    least_valid: float | None = None
    fit_anomalies: Callable[[Mapping[str, Normalization]], Mapping[str, Anomalies]] | None = None


@dataclasses.dataclass(frozen=True)
class WrittenRecords:
    """Records that are written.

    Attributes:
        count: Their number.
        shards: Their files.
        layers: The arrays of pixels.
        normalizations: Of each array.
        missing: What was missing.
        anomalies: Climatologies of the arrays that have some, by name.
    """

    count: int
    shards: tuple[str, ...]
    layers: tuple[Layer, ...]
    normalizations: Mapping[str, Normalization]
    missing: dict[str, Any] | None
    anomalies: Mapping[str, Anomalies] = dataclasses.field(default_factory=dict)


def manifest_entries(
    store: InputFile, chosen: np.ndarray, made: WrittenRecords, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the entries of the manifest common to both kinds, by the names of its attributes.

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
        "provenance": provenance.record(),
    }


def make_records(
    directory: Path,
    store: InputFile,
    chosen: np.ndarray,
    draft: Draft,
    options: Mapping[str, Any],
    client: Any,
) -> WrittenRecords:
    """Draws the plan, cuts the patches, writes the shards.

    Args:
        directory: The directory to write in.
        store: The (high-resolution) fields.
        chosen: Indices of those that may be used.
        draft: What to draw and cut.
        options: As the manifest holds them; see
            :class:`phire.records.sampling_options.SamplingOptions`.
        client: As :func:`phire.fields.cluster.cluster` yields it.

    Raises:
        InputError: Nothing can be drawn, or the fields do not suit the options.
        WorkError: Workers were lost again and again.
    """
    directory = directory.resolve()  # workers may stand elsewhere
    missing = options["missing"]

    def look(draft: Draft) -> Survey:
        return survey(
            draft.layers, chosen, draft.place, time=store.time, path=store.path,
            directory=directory, client=client, least_valid=draft.least_valid,
        )  # fmt: skip

    noted = None
    if missing == "error":
        refuse_missing(look(draft), store.time, store.path, len(chosen))
    fitted = draft.fit()
    anomalies = {} if draft.fit_anomalies is None else draft.fit_anomalies(fitted)
    if anomalies:
        write_anomalies(directory, anomalies)
    local = _anomaly_files(directory, anomalies), store.time
    plan = draft.draw(None, None)
    written = _write_pixels(directory, draft, plan, fitted, local, options, client, None)
    if written is None:
        # Values are missing: find them, and draw the plan again without them.
        if missing == "mask":
            draft = draft.masked(["valid"])
        found = look(draft)
        if missing == "mask" and found.coarse:
            draft = draft.masked(["valid", "low_valid"])
        noted = found.note(missing, len(chosen))
        plan = draft.draw(None if missing == "fill" else found.blocked, found.absent)
        written = _write_pixels(directory, draft, plan, fitted, local, options, client, missing)
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
    return WrittenRecords(contents.count, names, draft.layers.layers, fitted, noted, anomalies)


def _anomaly_files(directory: Path, anomalies: Mapping[str, Anomalies]) -> dict[str, AnomalyFile]:
    return {
        name: AnomalyFile(str(directory), name, one.channels, json.dumps(list(one.summary())))
        for name, one in anomalies.items()
    }


def _run(
    function: Callable, tasks: list, client: Any, description: str, unit: str, sizes: list
) -> None:
    for _ in spread(function, tasks, client, description=description, unit=unit, sizes=sizes):
        pass


def _write_pixels(
    directory: Path,
    draft: Draft,
    plan: Plan,
    fitted: Mapping[str, Normalization],
    local: tuple[Mapping[str, AnomalyFile], TimeAxis],
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
    cutter = Cutter(
        draft.layers, tuple(fitted.get(layer.name) for layer in draft.layers.layers),
        options["dtype"], draft.place.wraps, _fill(fitted) if missing == "fill" else None,
        surveyed=missing is not None, mask=missing == "mask",
        anomalies=tuple(local[0].get(layer.name) for layer in draft.layers.layers), time=local[1],
    )  # fmt: skip
    cuts = cuts.part(np.argsort(cuts.time, kind="stable"))
    layers = np.arange(len(draft.layers.layers))
    segment = cuts.segment[:, None] + layers * contents.segments
    offsets = places.segment_offsets(contents)[cuts.record[:, None], segment]
    shard = places.shard[cuts.record]
    parts = _parts(cuts.time, draft.layers)
    tasks = [(cutter, directory, names, cuts.part(p), shard[p], offsets[p]) for p in parts]
    sizes = [len(np.unique(cuts.time[p])) for p in parts]
    crcs = np.zeros((contents.count, len(contents.pixels) * contents.segments), np.uint32)
    results = spread(
        cut_fields, tasks, client, description="cutting patches", unit="fields", sizes=sizes
    )
    # Shards that are still to be compressed are not kept.
    kept = names if options["compression"] == "none" else ()
    with files.flushing([directory / name for name in kept]), contextlib.closing(results):
        for part, found in zip(parts, results):
            if found is None:
                return None
            crcs[cuts.record[part, None], segment[part]] = found
    return contents, places, crcs


def _fill(fitted: Mapping[str, Normalization]) -> dict[str, float]:
    """Returns the mean of every channel.

    Raises:
        InputError: The statistics do not hold it.
    """
    found: dict[str, float] = {}
    for normalization in fitted.values():
        if normalization.mean is None:
            raise InputError(
                "--missing fill needs the channels' means, which --statistics does not hold: leave "
                "out --statistics to fit them."
            )
        found |= dict(zip(normalization.channels, normalization.mean))
    return found


def _parts(times: np.ndarray, layers: Layers) -> list[slice]:
    """Splits sorted times where fields change, into parts of about :data:`CHUNK_BYTES`."""
    size = max(1, CHUNK_BYTES // layers.field_bytes)
    bounds = np.flatnonzero(np.diff(times, prepend=times[0] - 1))[::size]
    return [slice(a, b) for a, b in zip(bounds, [*bounds[1:], len(times)])]
