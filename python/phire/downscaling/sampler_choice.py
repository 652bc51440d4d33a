"""Choice of a sampler for a run: name, levels and options as resolved, and sweeps over several."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from phire.downscaling import samplers
from phire.downscaling.discrete_process import process_of
from phire.downscaling.preconditioning import DENOISERS, check_sigma_range
from phire.downscaling.samplers.discrete_levels import SPACINGS
from phire.downscaling.samplers.integration import ON_SIGNAL_LEVELS
from phire.downscaling.samplers.registry import schedule as schedules
from phire.errors import InputError
from phire.parts import Specification, parse, split_outside_brackets
from phire.training import open_run

DEFAULT_SPACING = "trailing"


@dataclasses.dataclass(frozen=True)
class SamplerChoice:
    """Sampler, levels and options as resolved, for the record.

    Attributes:
        name: Name of the sampler.
        options: Its options.
        schedule: Name of the schedule of noise levels; of ``ddim`` and ``ddpm`` the spacing of
            their times.
        schedule_options: Its options; of ``ddim`` and ``ddpm`` those of the objective.
        steps: Number of steps.
        guidance: w of classifier-free guidance, (1 + w)·D(conditions) − w·D(none).
    """

    name: str
    options: Mapping[str, Any]
    schedule: str
    schedule_options: Mapping[str, Any]
    steps: int
    guidance: float = 0.0

    @property
    def on_signal_levels(self) -> bool:
        """True if the levels are ᾱ, ascending to 1, instead of σ, descending to 0."""
        return self.name in ON_SIGNAL_LEVELS

    @property
    def levels(self) -> np.ndarray:
        """Levels (steps + 1,) that the sampler stops at."""
        if self.on_signal_levels:
            return process_of(self.schedule_options).sampled_levels(self.steps, self.schedule)
        return samplers.schedule(self.schedule, self.steps, **self.schedule_options)


def choose_sampler(specification: Specification, objective: Mapping[str, Any]) -> SamplerChoice:
    """Resolves ``NAME,steps=…,schedule=…,sigma_min=…,sigma_max=…`` with further options.

    Options that the sampler does not have are the schedule's. Levels that are not given are those
    that the training measured. ``ddim`` and ``ddpm`` take ``spacing`` instead of a schedule. All
    take ``guidance``, where conditions were dropped in training.

    Args:
        specification: The choice; empty for the default of
            :mod:`phire.downscaling.samplers`.
        objective: Name and options of the objective of the run.

    Raises:
        InputError: The objective trains no denoiser, the sampler is of other levels, an option is
            unknown, or ``sigma_min`` is not below ``sigma_max``.
    """
    if objective["name"] not in DENOISERS:
        raise InputError(
            f"a sampler is for runs of the objectives {', '.join(DENOISERS)}, and this one was "
            f"trained by {objective['name']}: leave --sampler out."
        )
    name, given = parse(specification or samplers.DEFAULT_METHOD)
    samplers.sampler.part(name)
    steps = given.pop("steps", samplers.DEFAULT_STEPS)
    if not isinstance(steps, int) or steps < 1:
        raise InputError(f"--sampler {name},steps={steps}: steps must be a number from 1 on.")
    guidance = _guidance(given.pop("guidance", 0.0), objective)
    of_levels = _on_signal_levels if name in ON_SIGNAL_LEVELS else _on_noise_levels
    return dataclasses.replace(of_levels(name, given, steps, objective), guidance=guidance)


def _guidance(guidance: object, objective: Mapping[str, Any]) -> float:
    """Returns the weight of guidance.

    Raises:
        InputError: It is no number from 0 on, or the training dropped no conditions.
    """
    if isinstance(guidance, bool) or not isinstance(guidance, int | float) or guidance < 0:
        raise InputError(f"--sampler …,guidance={guidance} must be a number from 0 on.")
    if guidance and not objective.get("condition_dropout"):
        raise InputError(
            f"--sampler …,guidance={guidance:g} is of runs that were trained with "
            "condition_dropout, which this one was not: leave it out, or train with "
            "condition_dropout=0.1."
        )
    return float(guidance)


def _on_signal_levels(
    name: str, given: dict[str, Any], steps: int, objective: Mapping[str, Any]
) -> SamplerChoice:
    if objective["name"] != "ddpm":
        raise InputError(
            f"sampler {name} is for the objective ddpm, and this run was trained by "
            f"{objective['name']}: choose {samplers.DEFAULT_METHOD}, or ancestral, which takes the "
            "same steps."
        )
    options = samplers.sampler.part(name).options
    spacing = given.pop("spacing", DEFAULT_SPACING)
    _refuse_unknown(name, given, options, ["spacing"])
    if spacing not in SPACINGS:
        raise InputError(f"--sampler {name},spacing={spacing} must be one of "
                         f"{', '.join(SPACINGS)}.")  # fmt: skip
    if steps > objective["times"]:
        raise InputError(
            f"--sampler {name},steps={steps}: the run has {objective['times']} times: take as many "
            "steps or fewer."
        )
    resolved = samplers.sampler.resolve(name, given)[1]
    process = {
        field.name: objective[field.name] for field in dataclasses.fields(process_of(objective))
    }
    return SamplerChoice(name, resolved, spacing, process, steps)


def _on_noise_levels(
    name: str, given: dict[str, Any], steps: int, objective: Mapping[str, Any]
) -> SamplerChoice:
    options = samplers.sampler.part(name).options
    chosen = given.pop("schedule", samplers.DEFAULT_SCHEDULE)
    of_sampler = {key: value for key, value in given.items() if key in options}
    if "sigma_data" in options:
        of_sampler.setdefault("sigma_data", 1.0)  # the targets are of unit size
    known = schedules.part(chosen).options
    rest = {key: value for key, value in given.items() if key not in of_sampler}
    for key in ("sigma_min", "sigma_max"):
        if key in known:
            rest.setdefault(key, objective[key])
    if "sigma_data" in known:
        rest.setdefault("sigma_data", 1.0)
    if {"sigma_min", "sigma_max"} <= set(rest):
        check_sigma_range(rest["sigma_min"], rest["sigma_max"])
    _refuse_unknown(name, rest, known, ["schedule", *options])
    of_sampler = samplers.sampler.resolve(name, of_sampler)[1]
    return SamplerChoice(name, of_sampler, chosen, schedules.resolve(chosen, rest)[1], steps)


def _refuse_unknown(
    name: str, given: Mapping[str, Any], known: Mapping[str, Any], further: list[str]
) -> None:
    unknown = [key for key in given if key not in known]
    if unknown:
        raise InputError(
            f"--sampler {name} has no option {unknown[0]!r}: it has "
            f"{', '.join(['steps', 'guidance', *further, *known])}."
        )


def check_samplers(run: str | os.PathLike, specification: str) -> None:
    """Checks every sampler of a specification against a run, without loading its network.

    Raises:
        InputError: As of :func:`choose_sampler`.
    """
    objective = open_run(run).config.get("objective") or {"name": "none"}
    for one in swept(specification).values():
        choose_sampler(one, objective)


def swept(specification: str) -> dict[str, str]:
    """Returns every sampler that a specification with lists of values means, by what varies.

    ``heun,steps=10/18`` gives ``{"steps=10": "heun,steps=10", "steps=18": "heun,steps=18"}``; names
    of samplers may vary, too (``heun/euler``). Without a list there is one, of an empty name.
    """
    pieces = []
    for piece in split_outside_brackets(specification):
        key, equals, values = piece.partition("=")
        texts = (values if equals else key).split("/")
        pieces.append([(f"{key}={text}" if equals else text, len(texts) > 1) for text in texts])
    found = {}
    for combination in itertools.product(*pieces):
        label = "-".join(text for text, varies in combination if varies)
        found[label] = ",".join(text for text, _ in combination)
    return found


def swept_output(output: str, label: str) -> str:
    """Returns the output file of one of several samplers: ``a.nc`` → ``a-steps=10.nc``."""
    if not label:
        return output
    path = Path(output)
    return str(path.with_name(f"{path.stem}-{label}{path.suffix}"))
