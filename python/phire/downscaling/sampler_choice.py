"""Resolution of a sampler's options for a run, and sweeps over several samplers."""

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
from phire.option_types import with_option_types
from phire.part_registry import Registry, Specification, parse, split_outside_brackets
from phire.training import open_run

DEFAULT_SPACING = "trailing"
"""Default spacing of the times of ``ddim`` and ``ddpm``."""


@dataclasses.dataclass(frozen=True)
class SamplerChoice:
    """Sampler with all its options and noise levels, as outputs record it.

    Attributes:
        name: Name of the sampler.
        options: Options of the sampler.
        schedule: Name of the noise schedule; for ``ddim`` and ``ddpm``, the spacing of their times.
        schedule_options: Options of the schedule; for ``ddim`` and ``ddpm``, those of the
            objective's discrete process.
        steps: Number of steps.
        guidance: Weight w of classifier-free guidance, (1 + w)·D(conditions) − w·D(none); 0 for no
            guidance (Ho and Salimans 2022, arXiv:2207.12598).
    """

    name: str
    options: Mapping[str, Any]
    schedule: str
    schedule_options: Mapping[str, Any]
    steps: int
    guidance: float = 0.0

    @property
    def on_signal_levels(self) -> bool:
        """True if levels are ᾱ ascending to 1; False if they are σ descending to 0."""
        return self.name in ON_SIGNAL_LEVELS

    @property
    def levels(self) -> np.ndarray:
        """Noise or signal levels of the sampler's states, (steps + 1,)."""
        if self.on_signal_levels:
            return process_of(self.schedule_options).sampled_levels(self.steps, self.schedule)
        return samplers.schedule(self.schedule, self.steps, **self.schedule_options)


def choose_sampler(specification: Specification, objective: Mapping[str, Any]) -> SamplerChoice:
    """Resolves a sampler ``NAME,steps=…,schedule=…,sigma_min=…,sigma_max=…`` for a run.

    Further options belong to the sampler or, if it lacks them, to the noise schedule. ``sigma_min``
    and ``sigma_max`` default to the levels measured in training. ``ddim`` and ``ddpm`` have
    ``spacing`` in place of a schedule. ``guidance`` needs a run trained with ``condition_dropout``.

    Args:
        specification: Sampler with options; empty for the default of
            :mod:`phire.downscaling.samplers`.
        objective: Name and options of the run's objective.

    Raises:
        InputError: The objective trains no denoiser, the sampler does not fit the objective, an
            option is unknown or out of range, or ``sigma_min`` is not below ``sigma_max``.
    """
    if objective["name"] not in DENOISERS:
        raise InputError(
            f"--sampler applies to runs of the objectives {', '.join(DENOISERS)}, but this run was "
            f"trained by {objective['name']}: leave it out."
        )
    name, given = parse(specification or samplers.DEFAULT_METHOD)
    samplers.sampler.part(name)
    steps = given.pop("steps", samplers.DEFAULT_STEPS)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise InputError(f"--sampler {name},steps={steps}: steps must be a whole number above 0.")
    guidance = _guidance(given.pop("guidance", 0.0), objective)
    resolve = _on_signal_levels if name in ON_SIGNAL_LEVELS else _on_noise_levels
    with samplers.sampler.naming(name):
        choice = dataclasses.replace(resolve(name, given, steps, objective), guidance=guidance)
        _ = choice.levels  # refuses impossible options of the schedule
    return choice


def _guidance(guidance: object, objective: Mapping[str, Any]) -> float:
    """Returns the guidance weight as a float.

    Raises:
        InputError: It is negative or not a number, or the run was trained without
            ``condition_dropout``.
    """
    if isinstance(guidance, bool) or not isinstance(guidance, int | float) or not guidance >= 0:
        raise InputError(f"--sampler …,guidance={guidance} must be a number, 0 or more.")
    if guidance and not objective.get("condition_dropout"):
        raise InputError(
            f"--sampler …,guidance={guidance:g} needs a run trained with condition_dropout: leave "
            "it out, or train with condition_dropout=0.1."
        )
    return float(guidance)


def _on_signal_levels(
    name: str, given: dict[str, Any], steps: int, objective: Mapping[str, Any]
) -> SamplerChoice:
    """Resolves the options of a sampler on signal levels ᾱ of discrete times."""
    if objective["name"] != "ddpm":
        raise InputError(
            f"sampler {name} applies to the objective ddpm, but this run was trained by "
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
            f"--sampler {name},steps={steps} exceeds the run's {objective['times']} times: give "
            "as many steps or fewer."
        )
    resolved = _checked(samplers.sampler, name, given)
    process = {
        field.name: objective[field.name] for field in dataclasses.fields(process_of(objective))
    }
    return SamplerChoice(name, resolved, spacing, process, steps)


def _on_noise_levels(
    name: str, given: dict[str, Any], steps: int, objective: Mapping[str, Any]
) -> SamplerChoice:
    """Resolves the options of a sampler on noise levels σ, and of its schedule."""
    options = samplers.sampler.part(name).options
    chosen = given.pop("schedule", samplers.DEFAULT_SCHEDULE)
    sampler_options = {key: value for key, value in given.items() if key in options}
    if "sigma_data" in options:
        sampler_options.setdefault("sigma_data", 1.0)  # targets are scaled to unit size
    known = schedules.part(chosen).options
    rest = {key: value for key, value in given.items() if key not in sampler_options}
    for key in ("sigma_min", "sigma_max"):
        if key in known:
            rest.setdefault(key, objective[key])
    if "sigma_data" in known:
        rest.setdefault("sigma_data", 1.0)
    _refuse_unknown(name, rest, known, ["schedule", *options])
    rest = _checked(schedules, chosen, rest)
    if {"sigma_min", "sigma_max"} <= set(rest):
        check_sigma_range(rest["sigma_min"], rest["sigma_max"])
    return SamplerChoice(
        name, _checked(samplers.sampler, name, sampler_options), chosen, rest, steps
    )


def _checked(registry: Registry, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns all options of a sampler or schedule.

    Raises:
        InputError: A value is not of the option's type, or a number is negative.
    """
    where = f"{registry.kind} {name}"
    found = with_option_types(registry.function(name), registry.resolve(name, given)[1], where)
    for key, value in found.items():
        # A level below 0 has its own message, which names both ends.
        if isinstance(value, int | float) and value < 0 and key not in ("sigma_min", "sigma_max"):
            raise InputError(f"{where}: {key}={value:g} must not be negative.")
    return found


def _refuse_unknown(
    name: str, given: Mapping[str, Any], known: Mapping[str, Any], further: list[str]
) -> None:
    """Raises an InputError for an option that is not ``known``; lists all options.

    Args:
        name: Name of the sampler.
        given: Options to check.
        known: Known options, with their defaults.
        further: Names of other options, to be listed in the message.
    """
    unknown = [key for key in given if key not in known]
    if unknown:
        raise InputError(
            f"--sampler {name} has no option {unknown[0]!r}: choose from "
            f"{', '.join(['steps', 'guidance', *further, *known])}."
        )


def check_samplers(run: str | os.PathLike, specification: str) -> None:
    """Checks every sampler of a sweep against a run, without loading its network.

    Raises:
        InputError: See :func:`choose_sampler`.
    """
    objective = open_run(run).config.get("objective") or {"name": "none"}
    for one in swept(specification).values():
        choose_sampler(one, objective)


def swept(specification: str) -> dict[str, str]:
    """Expands a sampler specification with alternatives; returns the samplers by label.

    ``heun,steps=10/18`` gives ``{"steps=10": "heun,steps=10", "steps=18": "heun,steps=18"}``. Names
    of samplers may vary, too (``heun/euler``). A specification without alternatives has the label
    ``""``.

    Raises:
        InputError: A value is missing, or given twice, which would be two predictions with one
            name.
    """
    pieces = []
    for piece in split_outside_brackets(specification):
        key, equals, values = piece.partition("=")
        texts = (values if equals else key).split("/")
        if "" in texts:
            raise InputError(f"--sampler {piece} lacks a value: give one after each = and /.")
        if len(set(texts)) < len(texts):
            raise InputError(f"--sampler {piece} gives a value twice: name each value once.")
        pieces.append([(f"{key}={text}" if equals else text, len(texts) > 1) for text in texts])
    samplers_by_label = {}
    for combination in itertools.product(*pieces):
        label = "-".join(text for text, varies in combination if varies)
        samplers_by_label[label] = ",".join(text for text, _ in combination)
    return samplers_by_label


def swept_candidates(output: str, specification: str) -> list[str]:
    """Returns the outputs of a sweep as candidates ``NAME=FILE`` of ``phire-eval``.

    Args:
        output: Output file as given, without the options that vary.
        specification: Samplers, with alternatives.
    """
    return [
        f"{label.replace('=', ' ')}={swept_output(output, label)}"  # a name ends at the first =
        for label in swept(specification)
    ]


def swept_output(output: str, label: str) -> str:
    """Returns the output file of one sampler of a sweep, such as ``a-steps=10.nc`` for ``a.nc``."""
    if not label:
        return output
    path = Path(output)
    return str(path.with_name(f"{path.stem}-{label}{path.suffix}"))
