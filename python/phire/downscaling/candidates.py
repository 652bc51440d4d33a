"""Candidates of an evaluation by their names: a run, a file of predictions, or an interpolation.

What a candidate is can be told without TensorFlow; a run is opened with it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from phire import provenance
from phire.errors import InputError
from phire.fields import open_fields
from phire.fields.coarsening import CoarsenedSource, CroppedSource
from phire.fields.interpolation import METHODS
from phire.fields.opening import is_zarr
from phire.fields.source import Source
from phire.fields.source_writing import recorded_options


def is_run(specification: str) -> bool:
    """Returns True if a candidate is a run: a directory that is no Zarr store."""
    return os.path.isdir(specification) and not is_zarr(specification)


def check_candidates(
    named: Mapping[str, str], scale: int | None, minimum: float | None, members: int | None
) -> None:
    """Refuses options that do not go with the candidates; opens nothing.

    Args:
        named: Specifications of the candidates by name.
        scale, minimum, members: See :func:`open_candidates`.

    Raises:
        InputError: An option is missing, or is of runs where none is.
    """
    for option, value in (("--minimum", minimum), ("--members", members)):
        if value is not None and not any(map(is_run, named.values())):
            raise InputError(f"{option} is of candidates that are runs, and none is: leave it out.")
    for name, specification in named.items():
        if scale is None and (specification in METHODS or is_run(specification)):
            raise InputError(
                f"--candidate {name}={specification} needs --scale: how much coarser its input is."
            )


def open_candidates(
    named: Mapping[str, str],
    truth: Source,
    *,
    scale: int | None = None,
    variables: Sequence[str] | None = None,
    minimum: float | None = None,
    members: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Opens candidates as sources of fields; see :func:`check_candidates`.

    Args:
        named: By name, a run, the path of fields, or ``nearest``, ``bilinear``, ``bicubic``.
        truth: The truth, whose coarsened fields runs and interpolations refine.
        scale: How much coarser these are.
        variables: Channels to take of files.
        minimum: Runs: the least physical value.
        members: Stochastic runs: members of the ensemble.
        seed: Stochastic runs: seed of the random numbers.

    Raises:
        InputError: A candidate cannot be opened, or members are asked of deterministic runs alone.
    """
    of_runs = {"minimum": minimum, "members": members, "seed": seed}
    sources = {}
    for name, specification in named.items():
        if is_run(specification):
            sources[name] = _open_run(name, specification, truth, scale, of_runs)
        elif specification in METHODS:
            from phire.downscaling.interpolated_source import InterpolatedSource

            sources[name] = InterpolatedSource(
                CoarsenedSource(truth, scale), CroppedSource(truth, scale).grid, specification
            )
        else:
            sources[name] = open_fields(specification, variables)
    if (members or 1) > 1 and all(getattr(s, "members", 1) == 1 for s in sources.values()):
        raise InputError(
            f"--members {members} is of stochastic runs, but every candidate is deterministic: "
            "leave it out, or train a network with noise or Monte Carlo dropout."
        )
    return sources


def _open_run(
    name: str, path: str, truth: Source, scale: int, options: Mapping[str, Any]
) -> Source:
    """Opens a run's predictions from the coarsened truth."""
    from phire.downscaling.predicted_source import PredictedSource
    from phire.downscaling.trained_generator import TrainedGenerator

    generator = TrainedGenerator(path)
    padded = any(generator.schema.padding)
    if not generator.stochastic:
        # Of several candidates only the stochastic ones have members.
        options = {"minimum": options["minimum"]}
    return PredictedSource(
        generator,
        CoarsenedSource(truth, scale),
        truth.grid if padded else CroppedSource(truth, scale).grid,
        recorded_first=True,
        name=f"candidate {name}: the coarsened truth",
        **options,
    )


def origin_of(
    specification: str, minimum: float | None = None, members: int | None = None
) -> dict[str, Any]:
    """Returns the origin of a candidate's fields, as results record it.

    Args:
        specification: See :func:`open_candidates`.
        minimum, members: Options of a run; a file of predictions states its own minimum.

    Returns:
        Path and hash of what is there, the bound that predictions were set to, and the members.
    """
    if specification in METHODS:
        return {"spec": specification}
    path = os.path.realpath(specification)
    origin: dict[str, Any] = {"path": path, "fingerprint": provenance.fingerprint(path)}
    if not is_run(specification):
        minimum = (recorded_options(path) or {}).get("minimum")
    elif members is not None:
        origin["members"] = members
    return origin if minimum is None else {**origin, "minimum": minimum}
