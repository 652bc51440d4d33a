"""Downscaling records: the same patch at a low and at a high resolution (PhIRE's features)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire import files, progress
from phire.errors import InputError
from phire.fields.cluster import cluster
from phire.fields.coarsening import (
    ALIGNMENTS,
    CoarsenedSource,
    CroppedSource,
    coarsen_grid,
    remainder,
)
from phire.fields.normalization import Normalization
from phire.fields.source import Source
from phire.fields.store import FieldStore, open_store
from phire.records import features, making, writing
from phire.records.manifest import Manifest
from phire.records.pairs import normalised_field
from phire.records.sampling import PatchPlan, Window, plan_patches, window

SAME_PLACE = 0.02
"""Share of the low resolution's spacing by which explicit pairs may miss one another."""


class MatchedSource:
    """The part of an explicit low resolution that lies on blocks of the high one.

    Args:
        low: The low resolution.
        high: The high resolution.
        scale: Ratio of their spacings.
        alignment: ``cell`` or ``corner``.

    Attributes:
        times: For each of its fields, the index of the high-resolution field of the same time.

    Raises:
        InputError: The two do not fit; the message says in what.
    """

    def __init__(self, low: FieldStore, high: FieldStore, scale: int, alignment: str) -> None:
        if low.channels != high.channels or low.units != high.units:
            raise InputError(
                f"--low {low.path} holds {', '.join(low.channels)} ({', '.join(low.units)}), "
                f"{high.path} holds {', '.join(high.channels)} ({', '.join(high.units)}): both "
                "must hold the same channels in the same units."
            )
        wanted = coarsen_grid(high.grid, scale, alignment)
        grid = low.grid
        if grid.has_coordinates != wanted.has_coordinates:
            raise InputError(
                f"--low {low.path} and {high.path} must both have coordinates, or none."
            )
        rows = _common(grid.latitudes, wanted.latitudes)
        columns = _common(grid.longitudes, wanted.longitudes)
        if rows is None or columns is None:
            raise InputError(
                f"--low {low.path} ({grid.describe()}) does not lie on the {alignment}s of "
                f"{scale} × {scale} blocks of {high.path} ({high.grid.describe()}): check --scale "
                "and --alignment, or regrid one of them."
            )
        self.low = low
        self.window = rows, columns
        self.grid = grid.subgrid(*self.window)
        self.channels, self.units = low.channels, low.units
        common, mine, theirs = np.intersect1d(
            low.time.values, high.time.values, return_indices=True
        )
        if not len(common):
            raise InputError(f"--low {low.path} and {high.path} have no time in common.")
        self.times = theirs
        self._mine = mine
        self.time = low.time[mine]

    def read(self, times: Any) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        return self.low.read_window(self._mine[times], *self.window)


def _common(low: np.ndarray, wanted: np.ndarray) -> slice | None:
    """The stretch of ``low`` that equals the beginning of ``wanted``."""
    if len(low) < 2 or len(wanted) < 2:
        return None
    spacing = abs(low[1] - low[0])
    start = np.flatnonzero(np.abs(low - wanted[0]) < SAME_PLACE * spacing)
    if not len(start):
        return None
    count = min(len(low) - start[0], len(wanted))
    stretch = slice(int(start[0]), int(start[0] + count))
    near = np.abs(low[stretch] - wanted[:count]) < SAME_PLACE * spacing
    return stretch if near.all() else None


def write_downscaling_records(
    store: str | os.PathLike,
    output: str | os.PathLike,
    *,
    patch: Sequence[int] = (96, 96),
    scale: int = 4,
    patches_per_field: int = 20,
    whole_fields: bool = False,
    low: str | os.PathLike | None = None,
    alignment: str | None = None,
    latitudes: Sequence[float] | None = None,
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
    """Samples patches at two resolutions from a store into TFRecords (PhIRE's features).

    The low resolution is the area-weighted block mean of the physical values, or comes from a
    second store. Both are normalised alike afterwards.

    Args:
        store: The field store of the high resolution.
        output: The directory of records to make.
        patch: (H, W) of the high-resolution patches; multiples of ``scale``.
        scale: Ratio of the resolutions.
        patches_per_field: Patches of each field.
        whole_fields: One record a field instead, of all of it (what is left over at the south and
            east is dropped).
        low: A field store of the low resolution.
        alignment: ``cell`` (a coarse point is the centre of its block) or ``corner`` (its first
            point). By default cell; corner only goes with ``low``.
        latitudes: (south, north) of the patches' centres, degrees; all by default.
        time, shards, compression, dtype, normalization, statistics, missing, seed, workers,
            scheduler, overwrite: As for :func:`phire.records.write_pair_records`.

    Raises:
        InputError: An option does not fit the fields, or no patch can be drawn.
        WorkError: Workers were lost again and again.
    """
    patch = making.check_patch(patch)
    if scale < 2:
        raise InputError(f"--scale {scale} must be at least 2.")
    if alignment not in (None, *ALIGNMENTS):
        raise InputError(f"--alignment {alignment} must be one of {', '.join(ALIGNMENTS)}.")
    alignment = alignment or "cell"
    if alignment == "corner" and low is None:
        raise InputError(
            "--alignment corner needs --low: a block mean stands for its block's centre."
        )
    if not whole_fields and (patch[0] % scale or patch[1] % scale):
        raise InputError(
            f"--patch {patch[0]},{patch[1]} is no multiple of --scale {scale}: choose one."
        )
    with contextlib.ExitStack() as stack:
        high = stack.enter_context(open_store(store))
        options = making.common_options(
            high, shards=shards, compression=compression, dtype=dtype,
            normalization=normalization, missing=missing, statistics=statistics, seed=seed,
            time=time,
        )  # fmt: skip
        options |= {
            "patch": None if whole_fields else patch,
            "scale": scale,
            "patches_per_field": None if whole_fields else patches_per_field,
            "whole_fields": whole_fields,
            "low": None if low is None else str(Path(low).absolute()),
            "low_fingerprint": None if low is None else files.fingerprint(low),
            "alignment": alignment,
            "latitudes": None if latitudes is None else tuple(latitudes),
        }
        partial = stack.enter_context(making.new_records(output, options, overwrite))
        if partial is None:
            return
        client = stack.enter_context(cluster(workers, scheduler))
        chosen = high.time.select_range(time)
        if low is not None:
            coarse = MatchedSource(stack.enter_context(open_store(low)), high, scale, alignment)
            of_time = dict(zip(coarse.times.tolist(), range(len(coarse.times))))
            without = len(chosen)
            chosen = np.array([t for t in chosen.tolist() if t in of_time], dtype=np.int64)
            if not len(chosen):
                raise InputError(f"--low {low} has none of the times in range.")
            if len(chosen) < without:
                progress.say(f"{without - len(chosen)} fields have no partner in {low}.")
        else:
            coarse = CoarsenedSource(high, scale)
            of_time = None
            rest = remainder(high.grid, scale)
            if any(rest):
                progress.say(
                    f"{rest[0]} rows at the south and {rest[1]} columns at the east are dropped: "
                    f"{high.grid.shape[0]} × {high.grid.shape[1]} is no multiple of {scale}."
                )
        low_shape = coarse.grid.shape
        if whole_fields:
            patch = low_shape[0] * scale, low_shape[1] * scale
        low_patch = patch[0] // scale, patch[1] // scale
        if patch[0] > high.grid.shape[0] or patch[1] > high.grid.shape[1]:
            window(high.grid, patch, None)  # says how large the fields are
        # In blocks of the low resolution: patches begin on these.
        place = window(coarse.grid, low_patch, latitudes)
        if whole_fields:
            place = Window((0, 0), 1, False)
        scan = making.scan_missing(high, chosen, missing, client, store)
        noted = making.say_missing(scan, missing, len(chosen))
        avoid = making.missing_of(_coarse_scan(scan, low_shape, scale), missing, place.wraps)
        if low is not None:
            low_scan = making.scan_missing(
                coarse, np.array([of_time[t] for t in chosen.tolist()]), missing, client, low
            )
            if low_scan.masks or len(low_scan.absent):
                raise InputError(
                    f"--low {low} has missing values: fill them first, or leave its fields out by "
                    "--time."
                )
        plan = plan_patches(
            chosen, place, patch=low_patch, patches_per_field=1 if whole_fields else
            patches_per_field, seed=seed, missing=avoid, absent=scan.absent,
        )  # fmt: skip
        present = np.setdiff1d(chosen, scan.absent)
        fitted = making.get_normalization(high, normalization, present, statistics)
        names = _write(partial, high, coarse, of_time, plan, fitted, patch, scale, options, client)
        Manifest(
            kind="downscaling",
            count=len(plan.time),
            shards=names,
            patch=patch,
            channels=high.channels,
            units=high.units,
            normalization=fitted,
            dtype=dtype,
            compression=compression,
            scale=scale,
            step=high.time.step,
            calendar=high.time.calendar,
            spacing=high.grid.spacing if high.grid.has_coordinates else None,
            pooling="explicit" if low is not None else "area-mean",
            alignment=alignment,
            time=(high.time.format(chosen[0]), high.time.format(chosen[-1])),
            gaps=tuple((high.time.format(i), n) for i, n in high.time.gaps()),
            missing=noted,
            options=files.plain(options),
            provenance=files.provenance(),
        ).save(partial)
    progress.say(f"{output}: {len(plan.time)} records of {len(present)} fields.")


def _coarse_scan(scan: making.Scan, shape: tuple[int, int], scale: int) -> making.Scan:
    """A scan in blocks: a block is missing where one of its points is."""
    masks = {
        time: mask[: shape[0] * scale, : shape[1] * scale]
        .reshape(shape[0], scale, shape[1], scale)
        .any((1, 3))
        for time, mask in scan.masks.items()
    }
    return making.Scan(masks, scan.absent)


def _write(
    directory: Path,
    high: Source,
    coarse: Source,
    of_time: dict[int, int] | None,
    plan: PatchPlan,
    normalization: Normalization,
    patch: tuple[int, int],
    scale: int,
    options: dict[str, Any],
    client: Any,
) -> tuple[str, ...]:
    depth, count = len(high.channels), len(plan.time)
    low_patch = patch[0] // scale, patch[1] // scale
    constants = dict(
        zip(features.DOWNSCALING_INTEGERS[1:], (*low_patch, *patch, depth), strict=True)
    )
    itemsize = np.dtype(options["dtype"]).itemsize
    pixels = {
        name: size[0] * size[1] * depth * itemsize
        for name, size in zip(features.DOWNSCALING_PIXELS, (low_patch, patch))
    }
    integers = {name: np.full(count, value) for name, value in constants.items()}
    places = writing.assign_places(
        count, options["shards"], options["seed"], integers, "downscaling", pixels
    )
    tasks, sizes = [], []
    for part in making.time_chunks(high, np.unique(plan.time)):
        mine = np.flatnonzero((plan.time >= part[0]) & (plan.time <= part[-1]))
        low_time = (
            plan.time if of_time is None else np.array([of_time[t] for t in plan.time.tolist()])
        )
        columns = [plan.time, low_time, plan.row, plan.column]
        columns += [places.shard, places.offset, places.index]
        samples = np.stack(columns, axis=1)[mine]
        # An explicit low resolution is read from its own store, else coarsened from this field.
        own = coarse if of_time is not None else None
        tasks.append((high, own, samples, patch, scale, normalization, options["dtype"], constants))
        sizes.append(len(mine))
    return making.write_shards(
        directory, places, write_patches, tasks, sizes, options["compression"], client
    )


def write_patches(
    directory: Path,
    names: Sequence[str],
    high: Source,
    low: Source | None,
    samples: np.ndarray,
    patch: tuple[int, int],
    scale: int,
    normalization: Normalization,
    dtype: str,
    constants: dict[str, int],
) -> None:
    """Cuts the patches of a stretch of time and writes them to their places.

    Args:
        directory, names: The shards.
        high: The high resolution.
        low: The low resolution; None coarsens the high one.
        samples: (n, 7): time, time in ``low``, row and column in low-resolution points, shard,
            offset, index.
        patch: (H, W) of the high resolution.
        scale: Ratio of the resolutions.
        normalization, dtype: Of the pixels.
        constants: The integer features that are the same everywhere.
    """
    low_patch = patch[0] // scale, patch[1] // scale
    order = np.argsort(samples[:, 0], kind="stable")
    held = _Held(high)
    coarse = CoarsenedSource(held, scale) if low is None else low
    fine = CroppedSource(held, scale)
    with writing.ShardFiles(directory, names) as shards:
        current = None
        for i in order:
            time, low_time, row, column, shard, offset, index = samples[i].tolist()
            if time != current:
                current = time
                extra = patch[1] if high.grid.wraps else 0
                high_field = normalised_field(fine, time, normalization, dtype, extra)
                low_field = normalised_field(coarse, low_time, normalization, dtype, extra // scale)
            first = low_field[row : row + low_patch[0], column : column + low_patch[1]]
            row, column = row * scale, column * scale
            second = high_field[row : row + patch[0], column : column + patch[1]]
            integers = [("index", index), *constants.items()]
            data = (first.tobytes(), second.tobytes())
            pixels = list(zip(features.DOWNSCALING_PIXELS, data))
            shards.write(shard, offset, features.framed(features.example(integers, [], pixels)))


class _Held:
    """A source that keeps the field read last, for the readers that ask for it in turn."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.channels, self.units = source.channels, source.units
        self.grid, self.time = source.grid, source.time
        self._last: tuple[int, np.ndarray] | None = None

    def read(self, times: Any) -> np.ndarray:
        (time,) = times
        if self._last is None or self._last[0] != time:
            self._last = time, self._source.read([time])
        return self._last[1]
