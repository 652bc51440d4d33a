"""Pair records for AtmoDist: two patches of one place, some steps apart."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire import files, progress
from phire.errors import InputError
from phire.fields.cluster import cluster
from phire.fields.grid import Grid
from phire.fields.normalization import Normalization
from phire.fields.source import Source
from phire.fields.store import open_store
from phire.records import features, making, writing
from phire.records.manifest import Manifest
from phire.records.sampling import PairPlan, plan_pairs, window


def write_pair_records(
    store: str | os.PathLike,
    output: str | os.PathLike,
    *,
    patch: Sequence[int] = (160, 160),
    patches_per_field: int = 42,
    classes: int = 31,
    latitudes: Sequence[float] = (-60, 60),
    time: str | Sequence[str | None] | None = None,
    shards: int = 8,
    compression: str = "none",
    dtype: str = "float32",
    normalization: str = "log1p",
    statistics: str | os.PathLike | None = None,
    missing: str = "skip",
    seed: int = 0,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
) -> None:
    """Samples pairs of patches from a store into TFRecords (AtmoDist's features).

    Args:
        store: The field store.
        output: The directory of records to make.
        patch: (H, W) of the patches.
        patches_per_field: Pairs that begin at each field.
        classes: The largest lag in steps; lags are uniform over 1…classes.
        latitudes: (south, north) of the patches' centres, degrees; without coordinates ignored.
        time: ``START,STOP``, half-open; both fields of a pair lie inside.
        shards: Number of TFRecord files; each holds samples of the whole period.
        compression: ``none``, ``zlib`` or ``gzip``.
        dtype: ``float32`` or ``float16``.
        normalization: ``log1p``, ``z`` or ``none``.
        statistics: A file of statistics or a directory of records whose statistics to take
            instead of fitting them.
        missing: ``skip``: patches that touch missing values are not drawn; ``fill``: filled with
            the channel's mean; ``error``: refused.
        seed: The same seed and options give the same bytes.
        workers: Processes on this machine.
        scheduler: Address of a dask cluster.
        overwrite: Make the output anew.

    Raises:
        InputError: An option does not fit the fields, or no pair can be drawn.
        WorkError: Workers were lost again and again.
    """
    patch = making.check_patch(patch)
    if patches_per_field < 1 or classes < 1:
        raise InputError("--patches-per-field and --classes must be at least 1.")
    with open_store(store) as source:
        options = making.common_options(
            source, shards=shards, compression=compression, dtype=dtype,
            normalization=normalization, missing=missing, statistics=statistics, seed=seed,
            time=time,
        )  # fmt: skip
        options |= {
            "patch": patch,
            "patches_per_field": patches_per_field,
            "classes": classes,
            "latitudes": tuple(latitudes),
        }
        with making.new_records(output, options, overwrite) as partial:
            if partial is None:
                return
            chosen = source.time.select_range(time)
            if classes >= len(chosen):
                raise InputError(
                    f"--classes {classes} needs more than {classes} time steps, but {store} has "
                    f"{len(chosen)} in range: choose fewer classes or more fields."
                )
            place = window(source.grid, patch, latitudes)
            if not source.grid.has_coordinates:
                progress.say("--latitudes is ignored: the fields have no coordinates.")
            with cluster(workers, scheduler) as client:
                scan = making.scan_missing(source, chosen, missing, client, store)
                noted = making.say_missing(scan, missing, len(chosen))
                plan = plan_pairs(
                    source.time, chosen, place, patch=patch, patches_per_field=patches_per_field,
                    classes=classes, seed=seed, absent=scan.absent,
                    missing=making.missing_of(scan, missing, place.wraps),
                )  # fmt: skip
                present = np.setdiff1d(chosen, scan.absent)
                fitted = making.get_normalization(source, normalization, present, statistics)
                names = _write(partial, source, plan, fitted, options, client)
            Manifest(
                kind="pairs",
                count=len(plan.label),
                shards=names,
                patch=patch,
                channels=source.channels,
                units=source.units,
                normalization=fitted,
                dtype=dtype,
                compression=compression,
                classes=classes,
                step=source.time.step,
                calendar=source.time.calendar,
                spacing=source.grid.spacing if source.grid.has_coordinates else None,
                time=(source.time.format(chosen[0]), source.time.format(chosen[-1])),
                gaps=tuple((source.time.format(i), n) for i, n in source.time.gaps()),
                missing=noted,
                options=files.plain(options),
                provenance=files.provenance(),
            ).save(partial)
    progress.say(f"{output}: {len(plan.label)} pairs of {len(present)} fields.")


def _write(
    directory: Path,
    source: Source,
    plan: PairPlan,
    normalization: Normalization,
    options: dict[str, Any],
    client: Any,
) -> tuple[str, ...]:
    height, width = options["patch"]
    depth, count = len(source.channels), len(plan.label)
    itemsize = np.dtype(options["dtype"]).itemsize
    constants = {"T_max": options["classes"], "H": height, "W": width, "C": depth}
    integers = {"label": plan.label, **{k: np.full(count, v) for k, v in constants.items()}}
    size = height * width * depth * itemsize
    places = writing.assign_places(
        count, options["shards"], options["seed"], integers, "pairs",
        dict.fromkeys(features.PAIR_PIXELS, size),
    )  # fmt: skip
    tasks, sizes = [], []
    for part in making.time_chunks(source, np.unique(plan.start)):
        mine = np.flatnonzero((plan.start >= part[0]) & (plan.start <= part[-1]))
        columns = np.stack(
            [plan.start, plan.end, plan.label, plan.row, plan.column, places.shard, places.offset,
             places.index], axis=1,
        )[mine]  # fmt: skip
        tasks.append((source, columns, (height, width), normalization, options["dtype"], constants))
        sizes.append(len(mine))
    return making.write_shards(
        directory, places, write_pairs, tasks, sizes, options["compression"], client
    )


def write_pairs(
    directory: Path,
    names: Sequence[str],
    source: Source,
    samples: np.ndarray,
    patch: tuple[int, int],
    normalization: Normalization,
    dtype: str,
    constants: dict[str, int],
) -> None:
    """Cuts the pairs of a stretch of time and writes them to their places.

    Each field is read once; a pair's first patch is held until its second field comes, so that
    memory grows with the lag, not with the length.

    Args:
        directory, names: The shards.
        source: The fields.
        samples: (n, 8): start, end, label, row, column, shard, offset, index.
        patch: (H, W).
        normalization, dtype: Of the pixels.
        constants: The integer features that are the same everywhere.
    """
    starting = _by_time(samples[:, 0])
    ending = _by_time(samples[:, 1])
    held: dict[int, bytes] = {}
    with writing.ShardFiles(directory, names) as shards:
        for time in np.unique(samples[:, :2]).tolist():
            field = normalised_field(source, time, normalization, dtype, patch[1])
            for i in ending.get(time, ()):
                row, column = samples[i, 3:5]
                second = field[row : row + patch[0], column : column + patch[1]]
                pieces = _record(
                    source.grid, samples[i], held.pop(i), second.tobytes(), patch,
                    constants,
                )  # fmt: skip
                shards.write(int(samples[i, 5]), int(samples[i, 6]), pieces)
            for i in starting.get(time, ()):
                row, column = samples[i, 3:5]
                held[i] = field[row : row + patch[0], column : column + patch[1]].tobytes()


def _by_time(times: np.ndarray) -> dict[int, np.ndarray]:
    order = np.argsort(times, kind="stable")
    found, starts = np.unique(times[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, starts[1:])))


def normalised_field(
    source: Source, time: int, normalization: Normalization, dtype: str, extra: int
) -> np.ndarray:
    """A field as it is stored in records: (H, W + extra, C), filled and normalised.

    Args:
        source, time: The field.
        normalization, dtype: Of the pixels.
        extra: Columns to go on beyond the last one on grids that close the circle.
    """
    field = normalization.apply(source.read([time])[0])
    if normalization.kind == "none":
        mean = normalization.mean or (0.0,) * field.shape[-1]
        field = np.where(np.isnan(field), np.asarray(mean, field.dtype), field)
    else:
        # The mean is 0 after the z-score, and the log1p of it is what `apply` makes of the mean.
        filling = normalization.apply(np.asarray(normalization.mean)).astype(field.dtype)
        field = np.where(np.isnan(field), filling, field)
    field = field.astype(dtype).astype(np.dtype(dtype).newbyteorder("<"), copy=False)
    if source.grid.wraps and extra:
        field = np.concatenate([field, field[:, :extra]], axis=1)
    return np.ascontiguousarray(field)


def _record(
    grid: Grid,
    sample: np.ndarray,
    first: bytes,
    second: bytes,
    patch: tuple[int, int],
    constants: dict[str, int],
) -> list[memoryview | bytes]:
    integers = [("index", int(sample[7])), ("label", int(sample[2])), *constants.items()]
    row, column = int(sample[3]), int(sample[4])
    if grid.has_coordinates:
        last_row, last_column = row + patch[0] - 1, (column + patch[1] - 1) % grid.shape[1]
        place = (
            90 - grid.latitudes[row], grid.longitudes[column] % 360,
            90 - grid.latitudes[last_row], grid.longitudes[last_column] % 360,
        )  # fmt: skip
    else:
        place = (row, column, row + patch[0] - 1, column + patch[1] - 1)
    floats = list(zip(features.PAIR_FLOATS, map(float, place)))
    pixels = list(zip(features.PAIR_PIXELS, (first, second)))
    return features.framed(features.example(integers, floats, pixels))
