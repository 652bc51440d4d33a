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
from phire.fields.time import parse_duration
from phire.records.input_files import split_names

if TYPE_CHECKING:
    from phire.downscaling.predicted_source import PredictedSource
    from phire.downscaling.trained_generator import TrainedGenerator

DEFAULTS = {"network": "generator", "fill": "nearest", "any_spacing": False}
"""Defaults of the options of generators, where they are not None or empty."""


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

    Interrupted, the same call goes on after the fields that were done.

    Args:
        run: A run of ``phire-train``; or ``nearest``, ``bilinear``, ``bicubic``.
        input: Coarse fields: a store, NetCDF, Zarr or GRIB file, or a pattern of several.
        output: ``.h5`` (a store), ``.nc`` or ``.zarr``.
        coarsen: Take fine fields and coarsen them by this first.
        time: ``START,STOP``, half-open.
        network: Name of the network in the run.
        epoch: The end of this epoch, ``"best"``, or None for the end of training.
        tile: Largest side of a tile in coarse pixels; memory grows with it.
        any_spacing: Take input of another spacing than trained on.
        scale: For interpolations of coarse input: how much finer the output is.
        alignment: For these: whether coarse points are centres of blocks of fine ones (``cell``,
            the default) or their first points (``corner``).
        fill: Stand-in for missing input: ``nearest`` (the nearest valid value) or ``mean`` (the
            channel's mean in the training data). The blocks of points that had none are missing in
            the output.
        minimum: The least physical value in the output, such as 0 for rain: lower ones are set to
            it. None for no such bound.
        trace: The least amount that is measured, such as 0.05 mm where rain is measured in steps of
            0.1 mm: lower values are set to ``minimum``, so that members are dry where the truth is.
            None for none.
        consistency: ``mean`` gives every member the coarse field's area-weighted block means, for
            the channels that both sides have; values stay at ``minimum`` or above.
        noise_memory: Time over which the noise of a member is correlated, such as ``6h``, so that
            its series is coherent; None for independent noise at every time.
        seed: Seed of a stochastic generator's random numbers; 0 by default. They are those of seed,
            time and member, whatever the tiles.
        members: Members of a stochastic generator's ensemble, written along the dimension
            ``member``; 1 by default.
        sampler: Sampler of a run that trained a denoiser, as ``NAME,steps=…,schedule=…``; by
            default the one of the least error of spread, with the noise levels measured in
            training. Values separated by slashes (``heun,steps=10/18``) give one output for each
            combination, whose name ends with what varies (``OUT-steps=10.nc``).
        statistic: Of a run trained by the objective likelihood, ``mean`` (the default) or
            ``median`` of its distribution where no members are asked for.
        predictors: Further coarse fields, each ``FILE[:NAMES]``. A channel that neither these nor
            the input give comes from the file that the records were made of.
        static: Maps on the fine grid, likewise; by default those of the run.
        auxiliary, stations: Predictors in time on the fine grid, and a table of observations; by
            default those that the records were made of.
        overwrite: Replace an output that is there.

    Raises:
        InputError: The run or the input does not fit, or the output is something else's.
    """
    if sampler is not None and "/" in sampler:
        options = {name: value for name, value in locals().items() if name not in ("run", "input")}
        return _predict_swept(run, input, **options)
    path, names = split_names(input)
    options: dict[str, Any] = {
        **_identity(expand(path)), "coarsen": coarsen, "time": time, "minimum": minimum,
        "trace": trace, "consistency": consistency, "noise_memory": noise_memory,
    }  # fmt: skip
    of_generators: dict[str, Any] = {
        "tile": tile, "any_spacing": any_spacing, "fill": fill, "minimum": minimum,
        "trace": trace, "consistency": consistency, "noise_memory": noise_memory, "seed": seed,
        "members": members, "statistic": statistic, "predictors": predictors, "static": static,
        "auxiliary": auxiliary, "stations": stations,
    }  # fmt: skip
    if str(run) in METHODS:
        chosen = {"network": network, "epoch": epoch, "sampler": sampler, **of_generators}
        _refuse_options_of_generators(str(run), chosen)
        source = _opened(path, names, time, coarsen)
        predicted, further, attributes = *_interpolated(source, str(run), scale, alignment), {}
    else:
        _refuse({"scale": scale, "alignment": alignment}, "is kept in the run of a generator")
        predicted, further = _generated(
            run, network, epoch, sampler, path, names, time, coarsen, **of_generators
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


def _generated(
    run: str | os.PathLike, network: str, epoch: int | str | None, sampler: str | None, path: str,
    names: tuple[str, ...] | None, time: str | None, coarsen: int | None, **options: Any,
) -> tuple[PredictedSource, dict[str, Any]]:  # fmt: skip
    """Returns the fields that a run makes of an input, and the options that they depend on.

    Args:
        run, network, epoch, sampler: See :func:`predict`.
        path, names: The input, and its channels where they are named.
        time, coarsen: See :func:`predict`.
        **options: Those of :class:`phire.downscaling.predicted_source.PredictedSource`.
    """
    # Interpolation needs no TensorFlow, which these import.
    from phire.downscaling.predicted_source import PredictedSource
    from phire.downscaling.trained_generator import TrainedGenerator

    if options["noise_memory"] is not None:
        options["noise_memory"] = parse_duration(options["noise_memory"])
    generator = TrainedGenerator(run, network, epoch, sampler)
    source = _opened(path, names or _channels(path, generator), time, coarsen)
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
    """Returns the paths and fingerprints of input files, as the output records them."""
    return {
        "input": [os.path.realpath(path) for path in paths],
        "input_fingerprints": [provenance.fingerprint(path) for path in paths],
    }


def _attributes(predicted: PredictedSource, fill: str, consistency: str | None) -> dict[str, str]:
    """Returns the attributes that a file of predictions states of its values."""
    conserves = bool(predicted.generator.conserves or consistency)
    found = notes(fill, predicted.minimum, predicted.trace, conserves)
    if predicted.statistic is not None:
        found["statistic"] = f"{predicted.statistic} of the predicted distribution"
    return found


def _predict_swept(
    run: str | os.PathLike, input: str | os.PathLike, *, output: str | os.PathLike, sampler: str,
    **options: Any,
) -> None:  # fmt: skip
    """Predicts once for each sampler of a sweep, all of which are checked first."""
    if str(run) in METHODS:
        _refuse({"sampler": sampler}, f"is of generators, not of {run} interpolation")
    check_samplers(run, sampler)
    for label, one in swept(sampler).items():
        predict(run, input, swept_output(os.fspath(output), label), sampler=one, **options)


def _refuse_options_of_generators(method: str, options: Mapping[str, Any]) -> None:
    """Raises an InputError for an option of generators that is given for an interpolation."""
    given = {
        name.replace("_", "-"): value is not None and value not in ((), [], DEFAULTS.get(name))
        for name, value in options.items()
    }
    _refuse(given, f"is of generators, not of {method} interpolation")


def _refuse(options: Mapping[str, Any], reason: str) -> None:
    """Raises an InputError for the first of some options that is true."""
    for name, value in options.items():
        if value:
            raise InputError(f"--{name} {reason}: leave it out.")


def _opened(
    input: str | os.PathLike, channels: tuple[str, ...] | None, time: str | None, scale: int | None
) -> Source:
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
    """Returns the coarse channels of a run that a file holds; None for all that it holds."""
    with contextlib.closing(open_source(path)) as source:
        found = tuple(name for name in generator.low.channels if name in source.channels)
    return found or None


def _interpolated(
    source: Source, method: str, scale: int | None, alignment: str | None
) -> tuple[InterpolatedSource, dict[str, Any]]:
    """Returns an interpolation of a source, and the options that it depends on."""
    alignment = alignment or "cell"
    if isinstance(source, CoarsenedSource):
        _refuse({"scale": scale}, "is that of --coarsen")
        if alignment == "corner":
            raise InputError(
                "--alignment corner does not go with --coarsen: a block mean stands for its "
                "block's centre."
            )
        fine_grid = CroppedSource(source.source, source.scale).grid
    elif scale is None:
        raise InputError(f"{method} interpolation needs --scale: how much finer the output is.")
    else:
        fine_grid = refine_grid(source.grid, scale, alignment)
    facts = {"interpolation": method, "scale": scale, "alignment": alignment}
    return InterpolatedSource(source, fine_grid, method, alignment), facts
