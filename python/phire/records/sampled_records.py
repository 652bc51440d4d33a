"""Steps that the writers of pair records and of downscaling records share."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire import existing_outputs, files, provenance
from phire.errors import InputError
from phire.fields.normalization import Normalization, joined
from phire.fields.normalization_fit import fit_normalization
from phire.fields.normalization_names import parse_kinds
from phire.fields.source import Source
from phire.fields.time_axis import TimeAxis
from phire.records import tfrecord_writing
from phire.records.anomalies import Anomalies, AnomalyFile, read_anomalies, write_anomalies
from phire.records.input_files import InputFile, split_names
from phire.records.manifest import NAME, Manifest, options_of_records
from phire.records.missing_value_survey import Survey, refuse_missing, survey
from phire.records.parallel_tasks import run_in_order
from phire.records.patch_cutting import Cuts, Cutter, cut_fields
from phire.records.patch_sampling import Blocked, PairPlan, PatchPlan, Window
from phire.records.pixel_arrays import Layer, Layers

Plan = PairPlan | PatchPlan
CHUNK_BYTES = 1 << 25
"""Bytes of fields per task: a lost worker costs little work, and scheduling costs little, too."""


def check_patch(patch: Sequence[int]) -> tuple[int, int]:
    """Checks the size of patches and returns it as (H, W).

    Raises:
        InputError: The size is not two positive whole numbers.
    """
    if len(patch) != 2 or min(patch) < 1:
        raise InputError(f"--patch {','.join(map(str, patch))} must be two positive numbers H,W.")
    return int(patch[0]), int(patch[1])


@dataclasses.dataclass(frozen=True)
class Sampled:
    """Channels of one file, to fit a normalization to.

    Attributes:
        source: Fields of the channels, in physical units.
        times: Indices of the fields to use.
        name: Name of the file in messages.
        default: Kind of normalization if the user names none; None for log1p.
    """

    source: Source
    times: np.ndarray
    name: str
    default: str | None = None


def get_normalization(
    parts: Sequence[Sampled], kinds: str | None, statistics: str | os.PathLike | None
) -> Normalization:
    """Reads the normalization of all channels from ``statistics``, or fits it to the fields.

    Args:
        parts: The channels, each in only one part.
        kinds: See :func:`phire.fields.normalization_names.parse_kinds`; None uses those of
            ``statistics``.
        statistics: File of statistics, or directory of other records; None fits to the fields.

    Raises:
        InputError: A kind is not allowed, or the statistics do not match the fields.
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
    """Returns the kinds of the channels that a text names explicitly."""
    parsed = dict(zip(names, parse_kinds(kinds, names)))
    listed = {part.partition("=")[0].strip() for part in kinds.split(",") if "=" in part}
    return {name: kind for name, kind in parsed.items() if name in listed}


def check_dtype(dtype: str, normalization: Normalization) -> None:
    """Checks that float16 is used only for normalised values.

    Raises:
        InputError: A channel is not normalised.
    """
    plain = [c for c, kind in zip(normalization.channels, normalization.kinds) if kind == "none"]
    if dtype == "float16" and plain:
        raise InputError(
            f"--dtype float16 needs normalised values, and {', '.join(plain)} would not be "
            "normalised: choose a --normalization, or float32."
        )


def load_anomalies(path: str | os.PathLike) -> dict[str, Anomalies]:
    """Reads the climatologies of other records, by array; a file of statistics has none."""
    if not (Path(path) / NAME).is_file():
        return {}
    return read_anomalies(path, Manifest.load(path).schema.arrays)


def _load_statistics(path: str | os.PathLike) -> Normalization:
    """Reads the normalization from a file of statistics, or from all arrays of other records."""
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
    """Yields a temporary directory for the records; None if the same command made them already.

    Raises:
        InputError: The output is or contains an input, or it exists and other options made it.
    """
    for source in _inputs(options):
        given = Path(source).resolve()
        if Path(output).resolve() in (given, *given.parents):
            raise InputError(f"{output} is or contains the input {source}: name another output.")
    recorded = None if overwrite or not Path(output).exists() else options_of_records(output)
    if existing_outputs.already_made(output, recorded, options, overwrite):
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
    """Steps of writing that differ between pair records and downscaling records.

    Attributes:
        layers: The pixel arrays and their fields.
        place: Allowed positions of patches.
        draw: Draws the plan, given the mask of blocked patches and the absent fields.
        arrange: Returns the metadata of the records of a plan, and the patches to cut.
        fit: Returns the normalization of each layer, except layers of bits.
        masked: Returns the draft that masks missing values and stores presence arrays of the
            given names; None if values cannot be masked.
        least_valid: Smallest allowed fraction of present target values in a patch; used only if
            missing values are masked.
        fit_anomalies: Returns the climatologies, by name, of the arrays that have any.
    """

    layers: Layers
    place: Window
    draw: Callable[[Blocked | None, np.ndarray | None], Plan]
    arrange: Callable[[Plan], tuple[tfrecord_writing.Contents, Cuts]]
    fit: Callable[[], Mapping[str, Normalization]]
    masked: Callable[[Sequence[str]], Draft] | None = None
    least_valid: float | None = None
    fit_anomalies: Callable[[Mapping[str, Normalization]], Mapping[str, Anomalies]] | None = None


@dataclasses.dataclass(frozen=True)
class WrittenRecords:
    """Summary of the records that were written.

    Attributes:
        count: Number of records.
        shards: File names of the shards.
        layers: The pixel arrays.
        normalizations: Normalization of each array, by name.
        missing: Entry of the manifest on missing values; None if no value is missing.
        anomalies: Climatologies, by name, of the arrays that have any.
    """

    count: int
    shards: tuple[str, ...]
    layers: tuple[Layer, ...]
    normalizations: Mapping[str, Normalization]
    missing: dict[str, Any] | None
    anomalies: Mapping[str, Anomalies] = dataclasses.field(default_factory=dict)


def manifest_entries(
    store: InputFile, chosen: np.ndarray, written: WrittenRecords, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the manifest entries that both kinds of records have, by attribute name.

    Args:
        store: The (high-resolution) fields.
        chosen: Indices of the fields that were in range.
        written: Summary of the records.
        options: All options, in the form of the manifest.
    """
    time = store.time[chosen]
    repeated = dict.fromkeys(time.format(int(index)) for index in time.repeated())
    return {
        "count": written.count,
        "shards": written.shards,
        "dtype": options["dtype"],
        "compression": options["compression"],
        "time": (time.format(0), time.format(-1)),
        "gaps": tuple((time.format(index), count) for index, count in time.gaps()),
        "repeated": tuple(repeated),
        "missing": written.missing,
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
    """Draws the plan, cuts the patches and writes the shards.

    Args:
        directory: Directory to write to.
        store: The (high-resolution) fields.
        chosen: Indices of the fields that may be used.
        draft: Functions that draw, arrange and normalise the records.
        options: Options in the form of the manifest; see
            :class:`phire.records.sampling_options.SamplingOptions`.
        client: Client from :func:`phire.fields.cluster.cluster`; None uses threads.

    Raises:
        InputError: No sample can be drawn, or an option does not fit the fields.
        WorkError: Workers were lost repeatedly.
    """
    directory = directory.resolve()  # workers may have another working directory
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
        # A missing value turned up: survey all fields, and draw the plan again without them.
        if missing == "mask":
            draft = draft.masked(["valid"])
        found = look(draft)
        if missing == "mask" and found.coarse:
            draft = draft.masked(["valid", "low_valid"])
        noted = found.note(missing, len(chosen))
        plan = draft.draw(None if missing == "fill" else found.blocked, found.absent)
        written = _write_pixels(directory, draft, plan, fitted, local, options, client, missing)
    contents, places, crcs = written
    names = tfrecord_writing.shard_names(options["shards"])
    parts = np.array_split(np.arange(contents.count), -(-contents.count // 4096))
    tasks = [
        (directory, names, contents.part(part), places.shard[part], places.offset[part],
         places.length[part], crcs[part])
        for part in parts
    ]  # fmt: skip
    _run(tfrecord_writing.seal, tasks, client, "closing records", "records", list(map(len, parts)))
    if options["compression"] != "none":
        tasks = [(directory / name, options["compression"]) for name in names]
        _run(tfrecord_writing.compress, tasks, client, "compressing", "shards", [1] * len(tasks))
        tfrecord_writing.finish_compressed(directory, names)
    return WrittenRecords(contents.count, names, draft.layers.layers, fitted, noted, anomalies)


def _anomaly_files(directory: Path, anomalies: Mapping[str, Anomalies]) -> dict[str, AnomalyFile]:
    return {
        name: AnomalyFile(str(directory), name, one.channels, json.dumps(list(one.summary())))
        for name, one in anomalies.items()
    }


def _run(
    function: Callable, tasks: list, client: Any, description: str, unit: str, sizes: list
) -> None:
    for _ in run_in_order(function, tasks, client, description=description, unit=unit, sizes=sizes):
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
) -> tuple[tfrecord_writing.Contents, tfrecord_writing.Places, np.ndarray] | None:
    """Writes the pixels of all records; returns None at an unexpected missing value."""
    contents, cuts = draft.arrange(plan)
    if options["shards"] > contents.count:
        raise InputError(
            f"--shards {options['shards']} is more than the {contents.count} records: choose fewer "
            "shards."
        )
    places = tfrecord_writing.assign_places(contents, options["shards"], options["seed"])
    names = tfrecord_writing.shard_names(options["shards"])
    tfrecord_writing.allocate(directory, names, places.sizes)
    arrays = [layer.normalized_as for layer in draft.layers.layers]
    cutter = Cutter(
        draft.layers, tuple(fitted.get(name) for name in arrays),
        options["dtype"], draft.place.wraps, _fill(fitted) if missing == "fill" else None,
        surveyed=missing is not None, mask=missing == "mask",
        anomalies=tuple(local[0].get(name) for name in arrays), time=local[1],
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
    results = run_in_order(
        cut_fields, tasks, client, description="cutting patches", unit="fields", sizes=sizes
    )
    # Uncompressed shards are in their final form, so they can be flushed to disk meanwhile.
    final = names if options["compression"] == "none" else ()
    with files.flushing([directory / name for name in final]), contextlib.closing(results):
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
    """Splits samples, sorted by time, into parts of whole fields of about :data:`CHUNK_BYTES`."""
    size = max(1, CHUNK_BYTES // layers.field_bytes)
    bounds = np.flatnonzero(np.diff(times, prepend=times[0] - 1))[::size]
    return [slice(a, b) for a, b in zip(bounds, [*bounds[1:], len(times)])]
