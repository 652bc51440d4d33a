"""Pair records for AtmoDist: two patches at the same position, at two times."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phire import progress, value_text
from phire.errors import InputError, naming_arguments
from phire.fields.cluster import cluster
from phire.fields.grid import Grid
from phire.fields.normalization import Normalization
from phire.records import sampled_records, tfrecord_writing
from phire.records import tfrecord_encoding as encoding
from phire.records.input_files import InputFile
from phire.records.manifest import Manifest
from phire.records.patch_cutting import Cuts
from phire.records.patch_sampling import Blocked, PairPlan, empty_classes, plan_pairs, window
from phire.records.pixel_arrays import OneResolution
from phire.records.sampling_options import SamplingOptions
from phire.records.schema import PAIRS, SampleArray, SampleSchema


@naming_arguments()
def write_pair_records(
    store: str | os.PathLike,
    output: str | os.PathLike,
    *,
    patch: Sequence[int] = (160, 160),
    patches_per_field: int = 42,
    classes: int = 31,
    latitudes: Sequence[float] = (-60, 60),
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    **sampling: Any,
) -> None:
    """Writes pairs of patches, drawn from fields, to TFRecord files with AtmoDist's features.

    Args:
        store: Fields to sample, in any format that phire reads.
        output: Directory to write the records to.
        patch: (H, W) of the patches, grid points.
        patches_per_field: Mean number of pairs whose first patch comes from the same field.
        classes: Largest lag in time steps; lags are uniform over 1…classes.
        latitudes: (south, north) limits of the patch centres, degrees; ignored for fields without
            coordinates.
        workers: Number of processes on this machine; None uses threads of this process.
        scheduler: Address of a running dask cluster to spread the work over.
        overwrite: Replace an existing output.
        **sampling: ``time``, ``shards``, ``compression``, ``dtype``, ``normalization``,
            ``statistics``, ``missing`` and ``seed``; see
            :class:`phire.records.sampling_options.SamplingOptions`.

    Raises:
        InputError: An option does not fit the fields, or no pair can be drawn.
        WorkError: Workers were lost repeatedly.
    """
    shared = SamplingOptions.from_keywords(sampling, "write_pair_records")
    patch = sampled_records.check_patch(patch)
    if patches_per_field < 1 or classes < 1:
        raise InputError("--patches-per-field and --classes must be at least 1.")
    with InputFile(store) as source:
        options = {
            **shared.recorded(source),
            "patch": patch,
            "patches_per_field": patches_per_field,
            "classes": classes,
            "latitudes": tuple(latitudes),
        }
        with sampled_records.new_records(output, options, overwrite) as partial:
            if partial is None:
                return
            chosen = source.time.select_range(options["time"])
            draft = _pair_draft(source, chosen, options)
            with cluster(workers, scheduler) as client:
                written = sampled_records.make_records(
                    partial, source, chosen, draft, options, client
                )
            Manifest(
                schema=pair_schema(
                    source.channels,
                    source.units,
                    patch,
                    classes,
                    written.normalizations["first"],
                    grid=source.grid,
                    step=source.time.step,
                    calendar=source.time.calendar,
                ),
                **sampled_records.manifest_entries(source, chosen, written, options),
            ).save(partial)
    progress.say(f"{output}: {value_text.counted(written.count, 'pair')} of {len(chosen)} fields.")


def _pair_draft(
    source: InputFile, chosen: np.ndarray, options: Mapping[str, Any]
) -> sampled_records.Draft:
    """Returns the functions that draw, arrange and normalise pair records.

    Args:
        source: The fields.
        chosen: Indices of the fields in range.
        options: Options in the form of the manifest.

    Raises:
        InputError: No patch of this size fits between the latitudes, or the fields are too few.
    """
    patch, classes = options["patch"], options["classes"]
    place = window(source.grid, patch, options["latitudes"])
    _check_lags(source, chosen, classes)
    if not source.grid.has_coordinates:
        progress.say("--latitudes is ignored: the fields have no coordinates.")

    def draw(blocked: Blocked | None, absent: np.ndarray | None) -> PairPlan:
        return plan_pairs(
            source.time, chosen, place, patches_per_field=options["patches_per_field"],
            classes=classes, seed=options["seed"], blocked=blocked, absent=absent,
        )  # fmt: skip

    def arrange(plan: PairPlan) -> tuple[tfrecord_writing.Contents, Cuts]:
        return arrange_pairs(plan, source, patch, classes, options["dtype"])

    def fit() -> dict[str, Normalization]:
        parts = [sampled_records.Sampled(source, chosen, str(source.path))]
        fitted = sampled_records.get_normalization(
            parts, options["normalization"], options["statistics"]
        )
        sampled_records.check_dtype(options["dtype"], fitted)
        return {"first": fitted}

    return sampled_records.Draft(OneResolution(source, patch), place, draw, arrange, fit)


def _check_lags(source: InputFile, chosen: np.ndarray, classes: int) -> None:
    """Checks that there are more fields than lags, and notes lags that no two fields have.

    Raises:
        InputError: The number of fields is not larger than that of lags.
    """
    if classes >= len(chosen):
        raise InputError(
            f"--classes {classes} needs more than {classes} time steps, but {source.path} has "
            f"{len(chosen)} in range: choose fewer classes or more fields."
        )
    empty = empty_classes(source.time, chosen, classes)
    if 0 < len(empty) < classes:
        progress.say(
            f"Note: no two fields lie {', '.join(map(str, empty))} steps "
            f"({source.time.step_text}) apart: pairs have only the other "
            f"{classes - len(empty)} lags."
        )


def pair_schema(
    channels: Sequence[str],
    units: Sequence[str],
    patch: tuple[int, int],
    classes: int,
    normalization: Normalization,
    *,
    grid: Grid | None = None,
    step: int | None = None,
    calendar: str | None = None,
) -> SampleSchema:
    """Returns the schema of pair records.

    Args:
        channels, units: Channels and units of the fields.
        patch: (H, W) of the patches.
        classes: The largest lag, steps.
        normalization: Normalization of the stored pixels.
        grid: Grid of the fields; None if unknown.
        step, calendar: Time step in seconds and CF calendar; None if unknown.
    """
    spacing = grid.spacing if grid is not None and grid.has_coordinates else None
    first = SampleArray(
        channels, units, (*patch, len(channels)), spacing, normalization=normalization
    )
    return SampleSchema(
        PAIRS,
        {
            "first": first,
            "second": dataclasses.replace(first, offsets=tuple(range(1, classes + 1))),
            "label": SampleArray(("lag",), ("step",), ()),
            "position": SampleArray(encoding.PAIR_FLOATS, ("degrees",) * 4, (4,)),
        },
        classes=classes,
        domain=grid,
        step=step,
        calendar=calendar,
    )


def arrange_pairs(
    plan: PairPlan, source: InputFile, patch: tuple[int, int], classes: int, dtype: str
) -> tuple[tfrecord_writing.Contents, Cuts]:
    """Returns the metadata of the records of a plan, and the patches to cut for them.

    Args:
        plan: The pairs drawn.
        source: The fields.
        patch: (H, W) of the patches.
        classes: The largest lag, steps.
        dtype: Type of the stored pixels.
    """
    count, depth = len(plan.label), len(source.channels)
    constants = {"T_max": classes, "H": patch[0], "W": patch[1], "C": depth}
    integers = {
        "index": plan.start,
        "label": plan.label,
        **{name: np.full(count, value) for name, value in constants.items()},
    }
    size = patch[0] * patch[1] * depth * np.dtype(dtype).itemsize
    contents = tfrecord_writing.Contents(
        integers,
        dict(zip(encoding.PAIR_FLOATS, patch_edges(source.grid, plan.row, plan.column, patch))),
        dict.fromkeys(encoding.PAIR_PIXELS, size),
    )
    twice = np.arange(count)
    return contents, Cuts(
        time=np.concatenate([plan.start, plan.end]),
        row=np.concatenate([plan.row, plan.row]),
        column=np.concatenate([plan.column, plan.column]),
        record=np.concatenate([twice, twice]),
        segment=np.repeat([0, 1], count),
    )


def patch_edges(
    grid: Grid, row: np.ndarray, column: np.ndarray, patch: tuple[int, int]
) -> list[np.ndarray]:
    """Computes the positions of patches in the convention of AtmoDist's records.

    Args:
        grid: The grid.
        row, column: (n,) first rows and columns.
        patch: (H, W).

    Returns:
        Four arrays (n,) in degrees: colatitude of the first row, longitude of the first column, and
        the same for the row and column that follow the patch. The second longitude lies east of the
        first and may exceed 360. Without coordinates, rows and columns.
    """
    if not grid.has_coordinates:
        return [row, column, row + patch[0], column + patch[1]]
    colatitude = 90 - grid.latitudes
    step = colatitude[-1] - colatitude[-2] if len(colatitude) > 1 else 0.0
    colatitude = np.append(colatitude, colatitude[-1] + step)
    west = grid.longitudes[column] % 360
    width = patch[1] * (grid.spacing[1] if grid.shape[1] > 1 else 0.0)
    return [colatitude[row], west, colatitude[row + patch[0]], west + width]
