"""Downscaling records: the same patch at a low and at a high resolution (PhIRE's features)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from phire import files, progress
from phire.errors import InputError
from phire.fields.cluster import cluster
from phire.fields.coarsening import ALIGNMENTS, coarsen_grid, remainder_note
from phire.fields.store import open_store
from phire.records import features, making, writing
from phire.records.cutting import Cuts
from phire.records.layers import TwoResolutions
from phire.records.manifest import Manifest
from phire.records.matching import match_low
from phire.records.sampling import Blocked, PatchPlan, Window, plan_patches, window
from phire.records.schema import DOWNSCALING, SampleArray, SampleSchema


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
    normalization: str | None = None,
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
    if patches_per_field < 1:
        raise InputError("--patches-per-field must be at least 1.")
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
            "low": None if low is None else str(Path(low).resolve()),
            "low_fingerprint": None if low is None else files.fingerprint(low),
            "alignment": alignment,
            "latitudes": None if latitudes is None else tuple(latitudes),
        }
        partial = stack.enter_context(making.new_records(output, options, overwrite))
        if partial is None:
            return
        chosen = high.time.select_range(time)
        coarse = coarsen_grid(high.grid, scale, alignment)
        explicit = {}
        if low is not None:
            low_store = stack.enter_context(open_store(low))
            match = match_low(low_store, high, scale, alignment)
            matched = chosen[match.times[chosen] >= 0]
            if not len(matched):
                raise InputError(f"--low {low} has none of the times in range.")
            if len(matched) < len(chosen):
                progress.say(
                    f"{len(chosen) - len(matched)} of {len(chosen)} fields are left out: {low} has "
                    "none of their time."
                )
            chosen, coarse = matched, match.grid
            explicit = {"low": low_store, "low_window": match.window, "low_times": match.times}
        if whole_fields:
            patch = coarse.shape[0] * scale, coarse.shape[1] * scale
            place = Window((0, 0), 1, False)
        else:
            window(high.grid, patch, None)  # says how large the fields are
            # In points of the low resolution: patches begin where its blocks begin.
            closes = high.grid.wraps and coarse.shape[1] * scale == high.grid.shape[1]
            place = window(coarse, (patch[0] // scale, patch[1] // scale), latitudes, wraps=closes)
        dropped = remainder_note(high.grid, scale)
        if dropped is not None:
            progress.say(dropped)
        if latitudes is not None and not high.grid.has_coordinates:
            progress.say("--latitudes is ignored: the fields have no coordinates.")

        def draw(blocked: Blocked | None, absent: np.ndarray | None) -> PatchPlan:
            return plan_patches(
                chosen, place, patches_per_field=1 if whole_fields else patches_per_field,
                seed=seed, blocked=blocked, absent=absent,
            )  # fmt: skip

        def arrange(plan: PatchPlan) -> tuple[writing.Contents, Cuts]:
            return arrange_patches(plan, patch, scale, len(high.channels), dtype)

        draft = making.Draft(TwoResolutions(high, patch, scale, **explicit), place, draw, arrange)
        with cluster(workers, scheduler) as client:
            made = making.make_records(partial, high, chosen, draft, options, client)
        low_array, high_array = (
            SampleArray(
                high.channels, high.units, (*size, len(high.channels)),
                grid.spacing if grid.has_coordinates else None, normalization=made.normalization,
            )
            for size, grid in (((patch[0] // scale, patch[1] // scale), coarse), (patch, high.grid))
        )  # fmt: skip
        Manifest(
            schema=SampleSchema(
                DOWNSCALING,
                {"low": low_array, "high": high_array},
                scale=scale,
                pooling="explicit" if low is not None else "area-mean",
                alignment=alignment,
                domain=high.grid,
                step=high.time.step,
                calendar=high.time.calendar,
            ),
            **making.common_facts(high, chosen, made, options),
        ).save(partial)
    progress.say(f"{output}: {made.count} records of {len(chosen)} fields.")


def arrange_patches(
    plan: PatchPlan, patch: tuple[int, int], scale: int, depth: int, dtype: str
) -> tuple[writing.Contents, Cuts]:
    """What the records of a plan hold and where their pixels come from.

    Args:
        plan: The patches.
        patch: (H, W) of the high resolution.
        scale: Ratio of the resolutions.
        depth: Number of channels.
        dtype: Of the stored pixels.
    """
    count = len(plan.time)
    low_patch = patch[0] // scale, patch[1] // scale
    constants = zip(features.DOWNSCALING_INTEGERS[1:], (*low_patch, *patch, depth), strict=True)
    itemsize = np.dtype(dtype).itemsize
    contents = writing.Contents(
        {"index": plan.time, **{name: np.full(count, value) for name, value in constants}},
        {},
        {
            name: size[0] * size[1] * depth * itemsize
            for name, size in zip(features.DOWNSCALING_PIXELS, (low_patch, patch))
        },
    )
    number = np.arange(count)
    return contents, Cuts(plan.time, plan.row, plan.column, number, np.zeros(count, np.int64))
