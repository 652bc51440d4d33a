"""Candidates of an evaluation: runs, files of predictions, and interpolations.

TensorFlow is imported only when a run is opened.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from phire import provenance
from phire.downscaling.supported_options import check_bounds
from phire.errors import InputError
from phire.fields import open_fields
from phire.fields.coarsening import CoarsenedSource, CroppedSource
from phire.fields.interpolation import METHODS
from phire.fields.opening import is_zarr
from phire.fields.source import Source
from phire.fields.source_writing import options_of_fields


def is_run(specification: str) -> bool:
    """Returns True if a candidate is a run: a directory other than a Zarr store."""
    return os.path.isdir(specification) and not is_zarr(specification)


def check_candidates(
    named: Mapping[str, str],
    scale: int | None,
    minimum: float | None,
    members: int | None,
    trace: float | None = None,
) -> None:
    """Checks options against the candidates without opening them.

    Args:
        named: Specifications of the candidates by name.
        scale, minimum, members, trace: See :func:`open_candidates`.

    Raises:
        InputError: ``scale`` is missing, an option of runs is given without a run, or ``trace`` is
            not above ``minimum``.
    """
    for option, value in (("--minimum", minimum), ("--trace", trace), ("--members", members)):
        if value is not None and not any(map(is_run, named.values())):
            raise InputError(f"{option} applies to runs, but no candidate is a run: leave it out.")
    check_bounds(minimum, trace)
    for name, specification in named.items():
        if scale is None and (specification in METHODS or is_run(specification)):
            raise InputError(
                f"--candidate {name}={specification} needs --scale, the factor by which its input "
                "is coarser than the truth."
            )


def open_candidates(
    named: Mapping[str, str],
    truth: Source,
    *,
    scale: int | None = None,
    variables: Sequence[str] | None = None,
    minimum: float | None = None,
    trace: float | None = None,
    members: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Opens candidates as sources of fields.

    Args:
        named: Specifications by name: a run, a file of fields, or the interpolations ``nearest``,
            ``bilinear`` and ``bicubic``.
        truth: Fine fields; runs and interpolations refine their block means.
        scale: Factor of this coarsening; needed for runs and interpolations.
        variables: Channels to read from files; None for all.
        minimum: Lower bound for the physical values of runs; None for no bound.
        trace: Smallest measurable amount of runs; lower values are set to ``minimum``. None to
            keep them.
        members: Ensemble members of stochastic runs; None for one.
        seed: Seed of stochastic runs.

    Returns:
        Sources of fields by name.

    Raises:
        InputError: A candidate cannot be opened, or ``members`` exceeds 1 and every candidate is
            deterministic.
    """
    run_options = {"minimum": minimum, "trace": trace, "members": members, "seed": seed}
    sources = {}
    for name, specification in named.items():
        if is_run(specification):
            sources[name] = _open_run(name, specification, truth, scale, run_options)
        elif specification in METHODS:
            from phire.downscaling.interpolated_source import InterpolatedSource

            sources[name] = InterpolatedSource(
                CoarsenedSource(truth, scale), CroppedSource(truth, scale).grid, specification
            )
        else:
            sources[name] = open_fields(specification, variables)
    if (members or 1) > 1 and all(getattr(s, "members", 1) == 1 for s in sources.values()):
        raise InputError(
            f"--members {members} applies to stochastic runs, but every candidate is "
            "deterministic: leave it out, or train a network with noise or Monte Carlo dropout."
        )
    return sources


def _open_run(
    name: str, path: str, truth: Source, scale: int, options: Mapping[str, Any]
) -> Source:
    """Opens the predictions that a run makes from the coarsened truth."""
    from phire.downscaling.predicted_source import PredictedSource
    from phire.downscaling.trained_generator import TrainedGenerator

    generator = TrainedGenerator(path)
    padded = any(generator.schema.padding)
    if not generator.stochastic:
        # A deterministic run has no use for members and seed.
        options = {name: options[name] for name in ("minimum", "trace")}
    return PredictedSource(
        generator,
        CoarsenedSource(truth, scale),
        truth.grid if padded else CroppedSource(truth, scale).grid,
        recorded_first=True,
        name=f"candidate {name}: the coarsened truth",
        **options,
    )


def origin_of(
    specification: str,
    minimum: float | None = None,
    members: int | None = None,
    trace: float | None = None,
) -> dict[str, Any]:
    """Returns the origin of a candidate's fields, which results record.

    Args:
        specification: See :func:`open_candidates`.
        minimum, members, trace: Options of a run; a file of predictions records its own bounds.

    Returns:
        Path and content hash of the candidate, bounds of its values and number of members;
        for an interpolation, its name alone.
    """
    if specification in METHODS:
        return {"spec": specification}
    path = os.path.realpath(specification)
    origin: dict[str, Any] = {"path": path, "fingerprint": provenance.fingerprint(path)}
    bounds = {"minimum": minimum, "trace": trace}
    if not is_run(specification):
        recorded = options_of_fields(path) or {}
        bounds = {name: recorded.get(name) for name in bounds}
    elif members is not None:
        origin["members"] = members
    return origin | {name: value for name, value in bounds.items() if value is not None}
