"""Downscaling records: patches at low and high resolution, with further inputs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phire import progress, provenance
from phire.errors import InputError, naming_arguments
from phire.fields.cluster import cluster
from phire.fields.coarsening import ALIGNMENTS, remainder_note
from phire.fields.covariates import check_covariates
from phire.fields.padding import padding, padding_note
from phire.fields.units import difference
from phire.records import sampled_records, sampling_options
from phire.records.coarse_grid import METHODS
from phire.records.downscaling_draft import draft_records
from phire.records.downscaling_samples import Inputs, Samples, Shape
from phire.records.fine_static_maps import write_statics
from phire.records.input_files import InputFile, split_names
from phire.records.manifest import Manifest
from phire.records.sampled_records import WrittenRecords, make_records
from phire.records.sampling_options import SamplingOptions
from phire.value_text import counted

MISSING = (*sampling_options.MISSING, "mask")
Paths = Sequence[str | os.PathLike]


@naming_arguments()
def write_downscaling_records(
    store: str | os.PathLike,
    output: str | os.PathLike,
    *,
    targets: Sequence[str] | None = None,
    low: str | os.PathLike | None = None,
    predictors: Paths = (),
    coarse_targets: bool = False,
    static: Paths = (),
    auxiliary: Paths = (),
    stations: str | os.PathLike | None = None,
    withhold_stations: float = 0.2,
    covariates: Sequence[str] = (),
    patch: Sequence[int] = (96, 96),
    scale: int = 4,
    patches_per_field: int = 20,
    whole_fields: bool = False,
    margin: int = 0,
    context: Sequence[int] | None = None,
    window: int | None = None,
    alignment: str | None = None,
    regrid: str = "bilinear",
    latitudes: Sequence[float] | None = None,
    statistics_of: str | None = None,
    seasonal: str | int | None = None,
    least_valid: float = 0.5,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    **sampling: Any,
) -> None:
    """Writes patches at two resolutions, drawn from fields, to TFRecord files.

    The features are PhIRE's and a few further ones. ``high`` holds the targets. ``low`` holds the
    targets at low resolution, then the predictors. The low-resolution targets are read from the
    argument ``low``, or else computed as area-weighted block means; with ``predictors`` they are
    left out unless ``coarse_targets`` is set. Inputs are field stores, NetCDF, Zarr or GRIB files,
    given as ``FILE`` or ``FILE:NAME,NAME``; their fields are matched by time.

    Args:
        store: The fields at high resolution.
        output: Directory to write the records to.
        targets: Names of the channels to predict; all by default.
        low: The targets at low resolution.
        predictors: Further coarse fields, of any variables.
        coarse_targets: Put block means of the targets before the predictors.
        static: Maps on the fine grid, such as orography.
        auxiliary: Time-dependent predictors on the fine grid.
        stations: CSV of observations, one row per station and time: ``station, time, latitude,
            longitude`` and a column for each variable.
        withhold_stations: Share of the stations that is withheld from all inputs and listed in the
            manifest. The same share of the other stations is hidden in each field.
        covariates: ``hour`` of the day and ``day`` of the year, each as sine and cosine.
        patch: (H, W) of the high-resolution patches; multiples of ``scale``.
        scale: Ratio of the resolutions.
        patches_per_field: Patches drawn from each field, or from each window of fields.
        whole_fields: Write each whole field as one record instead of patches.
        margin: Coarse points around a patch, on each side of ``low``.
        context: (h, w) cells of the array ``context``: area means of the whole normalised coarse
            field, the same for all patches of a field. None for no such array.
        window: Number of consecutive fields in a sample; its time is that of the last one. By
            default a sample is one field, without a time axis.
        alignment: ``cell`` (a coarse point is the centre of its block) or ``corner`` (its first
            point). By default the alignment of the first coarse input that has one of the two.
        regrid: ``bilinear`` or ``conservative``: method for coarse inputs on another grid.
        latitudes: (south, north) limits of the patch centres, degrees; all by default.
        statistics_of: ``domain`` (mean and standard deviation of all values), ``point`` (of each
            point), or ``mean-of-points`` (those of the points, averaged), then channels that
            differ: ``point,pr=domain``. With ``point``, ``mean-of-points`` or ``seasonal`` the
            normalised values become standardised anomalies (:mod:`phire.records.anomalies`).
        seasonal: Harmonics of the day of the year in mean and variance, from 0 to 6, then channels
            that differ: ``2,pr=0``.
        least_valid: Smallest allowed fraction of present target values in a patch; used only with
            ``missing="mask"``.
        workers, scheduler, overwrite: As for :func:`phire.records.write_pair_records`.
        **sampling: ``time``, ``shards``, ``compression``, ``dtype``, ``normalization`` (by default
            ``z`` for static maps), ``statistics``, ``missing`` and ``seed``; see
            :class:`phire.records.sampling_options.SamplingOptions`. ``missing`` may also be
            ``mask``: missing values are stored as 0 after normalization, and ``valid`` marks the
            present targets. Where the grid's size is no multiple of ``scale``, the remaining rows
            in the south and columns in the east are dropped. With ``mask``, if no block means of
            the targets are needed, the last blocks are instead padded with points marked missing.

    Raises:
        InputError: An option does not fit the fields, or no patch can be drawn.
        WorkError: Workers were lost repeatedly.
    """
    shared = SamplingOptions.from_keywords(sampling, "write_downscaling_records")
    shape = Shape(
        None if whole_fields else sampled_records.check_patch(patch), scale, alignment, margin,
        window, regrid, None if latitudes is None else tuple(latitudes), tuple(covariates),
        withhold_stations, shared.seed, pad=shared.missing == "mask",
        context=None if context is None else tuple(context),
    )  # fmt: skip
    _check_options(shape, patches_per_field, least_valid, low, predictors, coarse_targets)
    with contextlib.ExitStack() as stack:
        inputs = _open_inputs(
            stack, store, targets, low, predictors, coarse_targets, static, auxiliary, stations
        )
        high = inputs.high
        options = {
            **shared.recorded(high, policies=MISSING),
            **_recorded(inputs, shape, patches_per_field, least_valid),
            **_local_statistics(statistics_of, seasonal, shared.statistics),
        }
        partial = stack.enter_context(sampled_records.new_records(output, options, overwrite))
        if partial is None:
            return
        check_covariates(shape.covariates, high.time)
        samples = Samples(inputs, shape, high.time.select_range(options["time"]))
        _note_remainder(samples)
        draft = draft_records(samples, options, least_valid=least_valid)
        with cluster(workers, scheduler) as client:
            written = make_records(partial, high, samples.chosen, draft, options, client)
        _write_statics_and_manifest(partial, samples, written, options)
    counts = counted(written.count, "record"), counted(len(samples.chosen), "field")
    progress.say(f"{output}: {' of '.join(counts)}.")


def _write_statics_and_manifest(
    directory: Path, samples: Samples, written: WrittenRecords, options: Mapping[str, Any]
) -> None:
    """Writes the static maps, and the manifest with the withheld stations."""
    if samples.maps is not None:
        write_statics(directory, samples.maps)
    entries = sampled_records.manifest_entries(
        samples.inputs.high, samples.chosen, written, options
    )
    if samples.stations is not None:
        entries["withheld_stations"] = samples.stations.withheld
    Manifest(schema=samples.schema(written), **entries).save(directory)


def _local_statistics(
    statistics_of: str | None, seasonal: str | int | None, statistics: Any
) -> dict[str, str]:
    """Returns the given climatology options in the form of the manifest.

    Raises:
        InputError: They are given together with ``statistics``, which hold climatologies already.
    """
    given = {"statistics_of": statistics_of, "seasonal": seasonal}
    found = {name: str(value) for name, value in given.items() if value is not None}
    if found and statistics is not None:
        option = "--" + next(iter(found)).replace("_", "-")
        raise InputError(
            f"{option} is for fitting statistics, but --statistics {statistics} gives them: leave "
            "out one of the two."
        )
    return found


def _check_options(
    shape: Shape, patches_per_field: int, least_valid: float, low: Any, predictors: Paths,
    coarse_targets: bool,
) -> None:  # fmt: skip
    """Raises an InputError for options that are out of range or exclude each other."""
    patch, scale = shape.patch, shape.scale
    if scale < 2:
        raise InputError(f"--scale {scale} must be at least 2.")
    if patches_per_field < 1:
        raise InputError("--patches-per-field must be at least 1.")
    if shape.margin < 0:
        raise InputError(f"--margin {shape.margin} must be 0 or a positive whole number.")
    if shape.window is not None and shape.window < 1:
        raise InputError(f"--window {shape.window} must be at least 1.")
    if not 0 < least_valid <= 1:
        raise InputError(f"--least-valid {least_valid:g} must be above 0 and at most 1.")
    if shape.alignment not in (None, *ALIGNMENTS):
        raise InputError(f"--alignment {shape.alignment} must be one of {', '.join(ALIGNMENTS)}.")
    if shape.regrid not in METHODS:
        raise InputError(f"--regrid {shape.regrid} must be one of {', '.join(METHODS)}.")
    if coarse_targets and (low is not None or not predictors):
        raise InputError(
            "--coarse-targets adds block means of the targets to --predictors: leave it out "
            "without --predictors (block means are the default) and with --low (which replaces "
            "them)."
        )
    if shape.alignment == "corner" and low is None and (coarse_targets or not predictors):
        raise InputError(
            "--alignment corner needs --low or --predictors: block means lie at the centres of "
            "their blocks."
        )
    if patch is not None and (patch[0] % scale or patch[1] % scale):
        raise InputError(f"--patch {patch[0]},{patch[1]} must be a multiple of --scale {scale}.")


def _open_inputs(
    stack: contextlib.ExitStack, store: Any, targets: Sequence[str] | None, low: Any,
    predictors: Paths, coarse_targets: bool, static: Paths, auxiliary: Paths, stations: Any,
) -> Inputs:  # fmt: skip
    """Opens the input files; ``stack`` closes them when it is closed."""

    def opened(text: Any, option: str, names: Sequence[str] | None = None) -> InputFile:
        return stack.enter_context(InputFile(text, option, names))

    if targets and split_names(store)[1]:
        raise InputError(
            f"the channels to predict are named twice, by --targets and in {store}: leave out one."
        )
    high = opened(store, "--targets" if targets else "", targets)
    coarse = []
    if low is not None:
        file = opened(low, "--low", high.channels)
        if set(file.channels) != set(high.channels):
            raise InputError(
                f"{file} gives {', '.join(file.channels)}, the targets are "
                f"{', '.join(high.channels)}: --low holds the targets at low resolution, in the "
                "same units; give other variables as --predictors."
            )
        coarse.append(stack.enter_context(file.select(high.channels)))
        found = difference(high.channels, coarse[0].units, high.units)
        if found is not None:
            raise InputError(
                f"{file} holds {found} as in {high.path}: convert it to the same units with `phire "
                "convert`."
            )
    coarse += [opened(text, "--predictors") for text in predictors]
    return Inputs(
        high=high,
        low=tuple(coarse),
        coarsened=low is None and (coarse_targets or not predictors),
        auxiliary=tuple(opened(text, "--auxiliary") for text in auxiliary),
        static=tuple(map(str, static)),
        stations=None if stations is None else str(stations),
    )


def _recorded(
    inputs: Inputs, shape: Shape, patches_per_field: int, least_valid: float
) -> dict[str, Any]:
    """Returns the options that only downscaling records have, in the form of the manifest."""
    plain = [split_names(text) for text in inputs.static]
    for path in [path for path, _ in plain] + ([inputs.stations] if inputs.stations else []):
        if not Path(path).exists():
            raise InputError(f"{path} does not exist: name a file for --static or --stations.")
    static = [
        f"{Path(path).resolve()}{'' if names is None else ':' + ','.join(names)}"
        for path, names in plain
    ]
    stations = None if inputs.stations is None else str(Path(inputs.stations).resolve())
    whole = shape.patch is None
    # Left out without a context, so that the options of older records still compare as equal.
    context = {} if shape.context is None else {"context": shape.context}
    return {
        **context,
        "targets": inputs.high.channels,
        "low": [file.recorded for file in inputs.low if file.option == "--low"],
        "predictors": [file.recorded for file in inputs.low if file.option != "--low"],
        "coarse_targets": inputs.coarsened,
        "auxiliary": [file.recorded for file in inputs.auxiliary],
        "static": static,
        "stations": stations,
        "fingerprints": [
            *(file.fingerprint for file in (*inputs.low, *inputs.auxiliary)),
            *(provenance.fingerprint(path) for path, _ in plain),
            *([provenance.fingerprint(stations)] if stations else []),
        ],
        "patch": shape.patch,
        "scale": shape.scale,
        "patches_per_field": None if whole else patches_per_field,
        "whole_fields": whole,
        "margin": shape.margin,
        "window": shape.window,
        "alignment": shape.alignment,
        "regrid": shape.regrid,
        "latitudes": shape.latitudes,
        "covariates": shape.covariates,
        "withhold_stations": shape.withhold_stations if stations else None,
        "least_valid": least_valid,
    }


def _note_remainder(samples: Samples) -> None:
    """Notes the rows and columns dropped or padded where the scale does not divide the grid."""
    high, shape = samples.inputs.high, samples.shape
    added = padding_note(high.grid, shape.scale, samples.padding)
    dropped = remainder_note(samples.fine.grid, shape.scale)
    for note in (added, dropped):
        if note is not None:
            progress.say(note)
    could_pad = not (shape.pad or samples.inputs.coarsened) and any(padding(high.grid, shape.scale))
    if dropped is not None and could_pad:
        progress.say("Pass --missing mask to keep them; blocks may then end beyond the fine grid.")
    if shape.latitudes is not None and not high.grid.has_coordinates:
        progress.say("--latitudes is ignored: the fields have no coordinates.")
