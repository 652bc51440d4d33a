"""Prediction of whole fields into a file (``phire predict``)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from phire import progress, provenance
from phire.downscaling.cached_source import cached
from phire.downscaling.interpolated_source import InterpolatedSource
from phire.downscaling.output_notes import CountedSource, notes
from phire.downscaling.sampler_choice import check_samplers, swept, swept_output
from phire.errors import InputError, naming_arguments
from phire.fields import open_source, write_source
from phire.fields.coarsening import (
    CoarsenedSource,
    CroppedSource,
    refine_grid,
    remainder_note,
)
from phire.fields.interpolation import METHODS
from phire.fields.opening import expand
from phire.fields.source import Source, TimeSelection
from phire.fields.time_axis import parse_duration
from phire.records.input_files import split_names

if TYPE_CHECKING:
    from phire.downscaling.predicted_source import PredictedSource
    from phire.downscaling.trained_generator import TrainedGenerator

DEFAULTS = {"network": "generator", "fill": "nearest", "any_spacing": False}
"""Defaults of those options of generators whose default is neither None nor empty."""


@naming_arguments()
def predict(
    run: str | os.PathLike,
    input: str | os.PathLike,
    output: str | os.PathLike,
    *,
    coarsen: int | None = None,
    time: str | None = None,
    network: str = "generator",
    epoch: int | str | None = None,
    tile: int | None = None,
    any_spacing: bool = False,
    scale: int | None = None,
    alignment: str | None = None,
    fill: str = "nearest",
    minimum: float | None = None,
    trace: float | None = None,
    consistency: str | None = None,
    noise_memory: str | None = None,
    seed: int | None = None,
    members: int | None = None,
    sampler: str | None = None,
    statistic: str | None = None,
    predictors: Sequence[str | os.PathLike] = (),
    static: Sequence[str | os.PathLike] = (),
    auxiliary: Sequence[str | os.PathLike] = (),
    stations: str | os.PathLike | None = None,
    overwrite: bool = False,
) -> None:
    """Applies a trained generator, or an interpolation, to whole fields of any size.

    After an interruption the same call resumes; fields that were computed are not computed again.

    Args:
        run: Run of ``phire-train``, or the interpolation ``nearest``, ``bilinear`` or ``bicubic``.
        input: Coarse fields: a store, a NetCDF, Zarr or GRIB file, or a pattern of several files.
        output: Path of the output, a store (``.h5``), ``.nc`` or ``.zarr``.
        coarsen: Factor by which to coarsen ``input`` first; None if it is coarse.
        time: Range of times ``START,STOP``, half-open; None for all.
        network: Name of the network in the run.
        epoch: Number of the epoch whose weights to use, ``"best"``, or None for the end of
            training.
        tile: Largest side of a tile in coarse points, which bounds the memory needed; None for the
            default of the run.
        any_spacing: Accept input whose grid spacing differs from the training data's.
        scale: Refinement factor of an interpolation; not used with ``coarsen``.
        alignment: Position of coarse points in their blocks, for an interpolation: ``cell``
            (centres, the default) or ``corner`` (first points).
        fill: Value that replaces missing input: ``nearest`` (the nearest valid value) or ``mean``
            (the channel's mean in the training data). Blocks of missing coarse points are missing
            in the output.
        minimum: Lower bound of the output in physical units, such as 0 for precipitation; lower
            values are set to it. None for no bound.
        trace: Smallest measurable amount, such as 0.05 mm of precipitation for gauges that measure
            in steps of 0.1 mm: lower values are set to ``minimum``, so that members are dry where
            the truth is. None to keep them.
        consistency: ``mean`` shifts the output to the coarse field's area-weighted block means, for
            channels that input and output share, without going below ``minimum``; None for no
            correction.
        noise_memory: Time over which a member's noise is correlated, such as ``6h``, which makes
            its time series coherent; None for independent noise at every time.
        seed: Seed of a stochastic generator; None for 0. Random numbers depend on the seed, the
            time and the member, but not on the tiles.
        members: Ensemble members of a stochastic generator, written along the dimension
            ``member``; None for 1.
        sampler: Sampler of a denoiser, as ``NAME,steps=…,schedule=…``; None for the default of the
            objective. Slashes separate alternatives (``heun,steps=10/18``): each combination gives
            an output, whose name ends with the options that vary (``OUT-steps=10.nc``).
        statistic: ``mean`` (the default) or ``median`` of the predicted distribution, for runs of
            the objective ``likelihood`` without ``members``.
        predictors: Further coarse fields, each ``FILE[:NAMES]``. Channels that neither these nor
            ``input`` hold are read from the files from which the records were made.
        static: Maps on the fine grid, each ``FILE[:NAMES]``; by default those of the run.
        auxiliary: Predictors in time on the fine grid, each ``FILE[:NAMES]``; by default the files
            from which the records were made.
        stations: CSV file of station observations; by default that of the records.
        overwrite: Replace an existing output.

    Raises:
        InputError: The run or the input does not fit, or the output exists with other options.
    """
    if sampler is not None and "/" in sampler:
        options = {name: value for name, value in locals().items() if name not in ("run", "input")}
        return _predict_swept(run, input, **options)
    path, names = split_names(input)
    of_output: dict[str, Any] = {
        "minimum": minimum, "trace": trace, "consistency": consistency, "noise_memory": noise_memory
    }  # fmt: skip
    options = {**_identity(expand(path)), "coarsen": coarsen, "time": time, **of_output}
    generator_options: dict[str, Any] = {
        **of_output, "tile": tile, "any_spacing": any_spacing, "fill": fill, "seed": seed,
        "members": members, "statistic": statistic, "predictors": predictors, "static": static,
        "auxiliary": auxiliary, "stations": stations,
    }  # fmt: skip
    if str(run) in METHODS:
        chosen = {"network": network, "epoch": epoch, "sampler": sampler, **generator_options}
        _refuse_options_of_generators(str(run), chosen)
        source = _open_input(path, names, time, coarsen)
        predicted, further = _interpolated_predictions(source, str(run), scale, alignment)
        attributes = {}
    else:
        _refuse({"scale": scale, "alignment": alignment}, "is fixed by the run of a generator")
        predicted, further = _run_predictions(
            run, network, epoch, sampler, path, names, time, coarsen, **generator_options
        )
        attributes = _attributes(predicted, fill, consistency)
    options |= further
    with cached(predicted, output, options) as source:
        counted = CountedSource(source)
        write_source(
            counted, output, options=options, overwrite=overwrite, attributes=attributes,
            description="predicting",
        )  # fmt: skip
    counted.say(output)


def _run_predictions(
    run: str | os.PathLike, network: str, epoch: int | str | None, sampler: str | None, path: str,
    names: tuple[str, ...] | None, time: str | None, coarsen: int | None, **options: Any,
) -> tuple[PredictedSource, dict[str, Any]]:  # fmt: skip
    """Returns the predictions of a run, and the options on which they depend.

    Args:
        run, network, epoch, sampler: See :func:`predict`.
        path, names: Path of the input, and the channels to read; None for those of the run.
        time, coarsen: See :func:`predict`.
        **options: Options of :class:`phire.downscaling.predicted_source.PredictedSource`.
    """
    # These modules import TensorFlow, which an interpolation does not need.
    from phire.downscaling.predicted_source import PredictedSource
    from phire.downscaling.trained_generator import TrainedGenerator

    if options["noise_memory"] is not None:
        options["noise_memory"] = parse_duration(options["noise_memory"])
    generator = TrainedGenerator(run, network, epoch, sampler)
    source = _open_input(path, names or _channels(path, generator), time, coarsen)
    predicted = PredictedSource(generator, source, name=path, **options)
    stations = options["stations"]
    further = {
        **{name: options[name] for name in ("predictors", "static", "auxiliary")},
        "stations": [stations] if stations else [],
    }
    return predicted, {
        "run": os.path.realpath(run),
        "network": network,
        "epoch": epoch if epoch is None else str(epoch),
        "weights_fingerprint": generator.fingerprint(),
        "tile": options["tile"],
        "any_spacing": options["any_spacing"],
        "fill": options["fill"],
        "seed": predicted.seed,
        "members": predicted.members,
        "statistic": predicted.statistic,
        "sampler": None if generator.sampler is None else vars(generator.sampler),
        "further": {
            name: {
                os.path.realpath(split_names(one)[0]): provenance.fingerprint(split_names(one)[0])
                for one in given
            }
            for name, given in further.items()
        },
    }


def _identity(paths: Sequence[str]) -> dict[str, Any]:
    """Returns the paths and fingerprints of input files, to be recorded in the output."""
    return {
        "input": [os.path.realpath(path) for path in paths],
        "input_fingerprints": [provenance.fingerprint(path) for path in paths],
    }


def _attributes(predicted: PredictedSource, fill: str, consistency: str | None) -> dict[str, str]:
    """Returns the attributes of the output that document how its values were computed."""
    conserves = bool(predicted.generator.conserves or consistency)
    found = notes(fill, predicted.minimum, predicted.trace, conserves)
    if predicted.statistic is not None:
        found["statistic"] = f"{predicted.statistic} of the predicted distribution"
    return found


def _predict_swept(
    run: str | os.PathLike, input: str | os.PathLike, *, output: str | os.PathLike, sampler: str,
    **options: Any,
) -> None:  # fmt: skip
    """Predicts once for each sampler of a sweep, after checking all of them."""
    if str(run) in METHODS:
        _refuse({"sampler": sampler}, f"applies to generators, not to {run} interpolation")
    check_samplers(run, sampler)
    for label, one in swept(sampler).items():
        predict(run, input, swept_output(os.fspath(output), label), sampler=one, **options)


def _refuse_options_of_generators(method: str, options: Mapping[str, Any]) -> None:
    """Raises an InputError if an option of generators is given for an interpolation."""
    given = {
        name.replace("_", "-"): value is not None and value not in ((), [], DEFAULTS.get(name))
        for name, value in options.items()
    }
    _refuse(given, f"applies to generators, not to {method} interpolation")


def _refuse(options: Mapping[str, Any], reason: str) -> None:
    """Raises an InputError if any option has a true value; ``reason`` follows its name."""
    for name, value in options.items():
        if value:
            raise InputError(f"--{name} {reason}: leave it out.")


def _open_input(
    input: str | os.PathLike, channels: tuple[str, ...] | None, time: str | None, scale: int | None
) -> Source:
    """Opens the input, selects times, and coarsens it by ``scale`` if that is given."""
    source = open_source(input, channels)
    if time is not None:
        source = TimeSelection(source, source.time.select_range(time))
    if scale is None:
        return source
    coarsened = CoarsenedSource(source, scale)
    dropped = remainder_note(source.grid, scale)
    if dropped is not None:
        progress.say(dropped)
    return coarsened


def _channels(path: str, generator: TrainedGenerator) -> tuple[str, ...] | None:
    """Returns the run's coarse channels that a file holds; None (read all) if it holds none."""
    with contextlib.closing(open_source(path)) as source:
        held = tuple(name for name in generator.low.channels if name in source.channels)
    return held or None


def _interpolated_predictions(
    source: Source, method: str, scale: int | None, alignment: str | None
) -> tuple[InterpolatedSource, dict[str, Any]]:
    """Returns the interpolation of a source, and the options on which it depends."""
    alignment = alignment or "cell"
    if isinstance(source, CoarsenedSource):
        _refuse({"scale": scale}, "is already given by --coarsen")
        if alignment == "corner":
            raise InputError(
                "--alignment corner does not fit --coarsen, as block means lie at the centres of "
                "blocks: leave it out."
            )
        fine_grid = CroppedSource(source.source, source.scale).grid
    elif scale is None:
        raise InputError(f"{method} interpolation needs --scale, the refinement factor.")
    else:
        fine_grid = refine_grid(source.grid, scale, alignment)
    recorded = {"interpolation": method, "scale": scale, "alignment": alignment}
    return InterpolatedSource(source, fine_grid, method, alignment), recorded
