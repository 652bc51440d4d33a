"""Training of a generator on downscaling records (``phire-train``)."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phire import files, progress, provenance
from phire.downscaling.contents.weighted_sum import content_text, metrics_of, parse_content
from phire.downscaling.generator_task import Task
from phire.downscaling.latent_space import NETWORK as AUTOENCODER
from phire.downscaling.objectives.supervised import PRETRAINING
from phire.downscaling.residual_base import NETWORK
from phire.downscaling.run_inputs import recorded_inputs
from phire.downscaling.target_space import TargetSpace, open_target_space
from phire.downscaling.training_records import (
    batches,
    open_training_records,
    validation_batches,
    without_fold,
)
from phire.errors import InputError, naming_arguments
from phire.networks import network as networks
from phire.part_registry import Specification, parse
from phire.records import Records, anomalies, fine_static_maps, naming_damage
from phire.training import (
    Phase,
    Run,
    choose_strategy,
    open_run,
    scheduled,
    take_over_optimizer,
    train,
)
from phire.training.phase import ALL
from phire.training.registry import objective as all_objectives
from phire.training.registry import schedule as schedules

objectives = all_objectives.within("phire.downscaling.objectives")
"""Objectives that train on downscaling records."""

SELECTIONS = {"loss": "val_loss", "spectrum": "val_log_spectral_error", "distance": "val_distance"}


@naming_arguments()
def train_generator(
    records: str | os.PathLike,
    out: str | os.PathLike,
    *,
    validation: str | os.PathLike | None = None,
    network: Specification = "srgan",
    network_options: Mapping[str, Any] | None = None,
    objective: Specification = "srgan",
    objective_options: Mapping[str, Any] | None = None,
    schedule: Specification = "constant",
    epochs: Sequence[int] = (15, 5),
    learning_rates: Sequence[float] = (1e-4, 1e-5),
    batch_size: int = 64,
    conserve: bool = False,
    pretrained: str | os.PathLike | None = None,
    initialize_from: str | os.PathLike | None = None,
    trainable: Sequence[str] = (),
    select: str = "loss",
    normalization: str | None = None,
    statistics: str | os.PathLike | None = None,
    channels: Sequence[str] | None = None,
    fold: tuple[int, int] | None = None,
    origin: Mapping[str, Any] | None = None,
    seed: int = 0,
    devices: str = "auto",
    **loop: Any,
) -> Run:
    """Trains a network on downscaling records.

    The defaults follow PhIRE (Stengel et al. 2020, doi:10.1073/pnas.1918964117): the objective
    srgan pretrains on the MSE, then come 15 epochs at the learning rate 1e-4 and 5 at 1e-5 with
    content and adversarial losses.

    Args:
        records: Downscaling records: a directory of ``phire-data``, or a bare TFRecord file of
            PhIRE.
        out: Path of the run directory to create.
        validation: Records to validate on after every epoch; None for no validation.
        network: Network, as ``NAME,key=value,…`` or a mapping with the key ``name``;
            ``phire parts network`` lists them.
        network_options: Further options of the network.
        objective: Objective in the same form; ``phire parts objective`` lists them.
        objective_options: Further options of the objective.
        schedule: Learning-rate schedule in the same form; ``phire parts schedule`` lists them. It
            spans all phases after the pretraining.
        epochs: Number of epochs of each phase after the pretraining.
        learning_rates: Adam's learning rate in each of these phases.
        batch_size: Samples of a global batch.
        conserve: Keep the coarse input's block means, for channels that input and targets share.
        pretrained: Run from which to take the generator's weights and the state of its optimizer;
            the pretraining is then skipped.
        initialize_from: Run from which to copy the weights of corresponding layers of the
            generator; other layers, and the optimizer, start afresh.
        trainable: Patterns of the names of the generator's trainable layers, such as
            ``conv2d_1*``; the other layers are frozen. Empty for all layers.
        select: Validation score that ranks the epochs; the smallest is best: ``loss``,
            ``spectrum`` (log-spectral error) or ``distance`` (learned distance; needs a metric in
            the objective's content).
        normalization, statistics, channels: Description of bare TFRecord files; see
            :func:`phire.records.open_records`.
        fold: (number, count) of the fold of the records' times to leave out; None to train on all;
            see :func:`phire.downscaling.cross_validation.train_with_folds`.
        origin: Entries of the configuration that replace paths and fingerprints of temporary
            records.
        seed, devices, **loop: Arguments of :func:`phire.training.train`: ``ema``, ``clip_norm``,
            ``precision``, ``jit``, ``deterministic``, ``overwrite`` ….

    Returns:
        The completed run.

    Raises:
        InputError: An option does not fit the records or other options.
        WorkError: See :func:`phire.training.train`.
    """
    network, network_options = networks.resolve(network, network_options)
    objective, objective_options = _with_target_of_latent(objective, objective_options)
    _check_lengths(epochs, learning_rates, objective_options)
    choose_strategy(devices)  # before any other operation of TensorFlow
    bare = {"normalization": normalization, "statistics": statistics, "channels": channels}
    opened, held_out = open_training_records(records, validation, bare, batch_size, network_options)
    objective_options, metrics = _with_content_text(objective_options)
    _check_selection(select, validation, metrics, denoises="sigma_data" in objective_options)
    remaining, fold_entry = without_fold(opened, fold)
    with objectives.naming(objective):
        space = open_target_space(objective_options, opened.schema, remaining, held_out)
    if loop.get("ema") is None:
        loop["ema"] = space.options.get("ema")
    weights = _starting_weights(pretrained, initialize_from, trainable)
    task = _generator_task(space, network, network_options, conserve, weights)
    configuration = {
        **_configuration(records, validation, pretrained, opened, task, metrics, space),
        "objective": {"name": objective, **space.options},
        "schedule": schedules.mapping(schedule), "epochs": list(epochs),
        "learning_rates": list(learning_rates), "batch_size": batch_size,
        **fold_entry, **space.entries, **_fine_tuning(initialize_from, trainable), **(origin or {}),
    }  # fmt: skip
    options = space.options if pretrained is None else {**space.options, "pretrain_epochs": 0}
    validate = space.held_out and functools.partial(validation_batches, space.held_out, batch_size)
    with naming_damage(space.records, space.held_out):
        run = train(
            functools.partial(_build, objective, options, task, pretrained),
            _phases(space.records, epochs, learning_rates, options, batch_size, seed, schedule),
            run=out, options=configuration, seed=seed, devices=devices,
            validation=validate, monitor="loss" if held_out is None else SELECTIONS[select], **loop,
        )  # fmt: skip
    _copy_inputs(run, records, space)
    return run


def _with_target_of_latent(
    objective: Specification, options: Mapping[str, Any] | None
) -> tuple[str, dict[str, Any]]:
    """Returns an objective's name and all its options; ``latent`` implies ``target=field``.

    Raises:
        InputError: A residual is combined with a latent space.
    """
    name, given = parse(objective)
    given = {**given, **(options or {})}
    if given.get("latent"):
        for option, value in (("target", "field"), ("residual", None)):
            if given.get(option, value) != value:
                raise InputError(
                    f"{option}={given[option]} and latent={given['latent']} exclude each other: "
                    "leave one out."
                )
        given["target"] = "field"
    return objectives.resolve(name, given)


def _generator_task(
    space: TargetSpace, network: str, network_options: Mapping[str, Any], conserve: bool,
    weights: Mapping[str, Any],
) -> Task:  # fmt: skip
    """Returns the task of an objective.

    A network with the option ``denoiser`` can be a generator or a denoiser; it becomes a denoiser
    for diffusion objectives, which are those with the option ``sigma_data``.
    """
    if "sigma_data" in space.options and "denoiser" in network_options:
        network_options = {**network_options, "denoiser": True}
    return Task(
        space.schema, network, network_options, conserve, residual=space.residual,
        latent=space.latent, **weights,
    )  # fmt: skip


def _with_content_text(options: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """Returns the objective's options and the metrics in its content, both with absolute paths.

    Absolute paths keep the recorded options equal if a run is resumed from another folder.
    """
    metrics = metrics_of(options.get("content") or "mse")
    if not metrics:
        return options, []
    content = content_text(parse_content(options["content"]))
    return {**options, "content": content}, metrics_of(content)


def _configuration(
    records: str | os.PathLike, validation: str | os.PathLike | None,
    pretrained: str | os.PathLike | None, opened: Records, task: Task, metrics: Sequence[str],
    space: TargetSpace,
) -> dict[str, Any]:  # fmt: skip
    """Returns the entries of ``config.yaml`` on a training's inputs and network."""
    kernel = [space.options["metric"]] if space.options.get("metric") else []
    return {
        "records": _absolute(records),
        "records_fingerprint": provenance.fingerprint(records),
        "validation": _absolute(validation),
        "network": {"name": task.network, **task.network_options},
        "metric_fingerprints": {path: provenance.fingerprint(path) for path in [*metrics, *kernel]},
        "conserve": task.conserve,
        "pretrained": _absolute(pretrained),
        "schema": opened.schema.to_dict(),
        "inputs": recorded_inputs(opened.manifest),
    }


def _fine_tuning(
    initialize_from: str | os.PathLike | None, trainable: Sequence[str]
) -> dict[str, Any]:
    """Returns the entries of ``config.yaml`` on a warm start; only options that are set."""
    found: dict[str, Any] = {}
    if initialize_from:
        found["initialize_from"] = _absolute(initialize_from)
    if trainable:
        found["trainable"] = trainable if isinstance(trainable, str) else list(trainable)
    return found


def _build(
    objective: str,
    options: Mapping[str, Any],
    task: Task,
    pretrained: str | os.PathLike | None,
) -> Any:
    """Builds the objective; called inside the strategy's scope."""
    built = objectives.build(objective, task, options=options)
    if pretrained is not None:
        _take_over(built, open_run(pretrained))
    return built


def _copy_inputs(run: Run, records: str | os.PathLike, space: TargetSpace) -> None:
    """Copies the maps, climatologies and networks that a prediction needs into the run."""
    for source, name in ((space.residual, NETWORK), (space.latent, AUTOENCODER)):
        if source is not None:
            path = source.path / "networks" / "generator.keras"
            _copy(path, run.path / "networks" / f"{name}.keras")
    for name in (fine_static_maps.NAME, anomalies.NAME):
        if (Path(records) / name).exists():
            _copy(Path(records) / name, run.path / name)


def _copy(source: Path, path: Path) -> None:
    """Copies a file, unless the target exists."""
    if not path.exists():
        with files.replacing(path) as partial:
            shutil.copy(source, partial)


def _starting_weights(
    pretrained: str | os.PathLike | None,
    initialize_from: str | os.PathLike | None,
    trainable: Sequence[str],
) -> dict[str, Any]:
    """Returns the fields of :class:`Task` on initial weights and trainable layers.

    Raises:
        InputError: Both ``pretrained`` and ``initialize_from`` are given.
    """
    if pretrained is not None and initialize_from is not None:
        raise InputError("--pretrained and --initialize-from exclude each other: give one.")
    found: dict[str, Any] = {"start_path": str(pretrained), "trainable": tuple(trainable)}
    if pretrained is not None:
        found["start"] = open_run(pretrained).network("generator").get_weights()
    if initialize_from is not None:
        found["source"] = open_run(initialize_from).network("generator")
    return found


def _absolute(path: str | os.PathLike | None) -> str | None:
    """Returns an absolute path as text; None for None."""
    return None if path is None else str(Path(path).resolve())


def _check_lengths(
    epochs: Sequence[int], learning_rates: Sequence[float], options: Mapping[str, Any]
) -> None:
    """Raises an InputError unless each phase has a number of epochs and a positive rate."""
    if len(epochs) != len(learning_rates):
        raise InputError(
            f"--learning-rates has {len(learning_rates)} rates for the {len(epochs)} phases of "
            "--epochs: give one rate per phase."
        )
    counts = [options.get("pretrain_epochs", 0), *epochs]
    rates = [options.get("pretrain_rate", 1.0), *learning_rates]
    if min(counts) < 0 or min(rates) <= 0:
        raise InputError("--epochs must not be negative, and --learning-rates must be positive.")


def _check_selection(
    select: str, validation: str | os.PathLike | None, metrics: Sequence[str], denoises: bool
) -> None:
    """Raises an InputError unless the validation computes the score that ranks the epochs."""
    if select not in SELECTIONS:
        raise InputError(f"--select {select} must be one of {', '.join(SELECTIONS)}.")
    if select != "loss" and validation is None:
        raise InputError(f"--select {select} needs --validation: add validation records.")
    if select == "spectrum" and denoises:
        raise InputError(
            "--select spectrum needs an objective that generates fields in validation: choose "
            "--select loss for a denoiser."
        )
    if select == "distance" and not metrics:
        raise InputError(
            "--select distance needs a metric in the objective's content: add a learned metric to "
            "content, or choose another --select."
        )


def _phases(
    records: Records, epochs: Sequence[int], rates: Sequence[float], options: Mapping[str, Any],
    batch_size: int, seed: int, schedule: Specification,
) -> list[Phase]:  # fmt: skip
    """Returns the phases: the objective's pretraining, if any, then those under the schedule."""
    phases: list[Phase] = []
    for name, count, rate in [
        (PRETRAINING, options.get("pretrain_epochs", 0), options.get("pretrain_rate")),
        *((f"phase {i + 1}", *both) for i, both in enumerate(zip(epochs, rates))),
    ]:
        if count:
            # Epochs of all phases are numbered together, so each shuffles the records differently.
            offset = sum(phase.epochs for phase in phases)
            draw = functools.partial(batches, records, batch_size, seed, offset)
            rates = {ALL: rate}
            if "discriminator_rate" in options:
                rates["discriminator"] = rate * options["discriminator_rate"]
            phases.append(Phase(name, count, draw, records.steps(batch_size), rates))
    first = bool(phases) and phases[0].name == PRETRAINING
    return phases[:first] + scheduled(schedule, phases[first:])


def _take_over(objective: Any, source: Run) -> None:
    """Copies the state of a run's optimizer to the generator's optimizer, if it fits."""
    optimizer = objective.optimizers["generator"]
    if not take_over_optimizer(optimizer, source.checkpoints, "generator"):
        progress.say(
            f"{source.checkpoints} holds no fitting state of Adam: its moments start from 0, so "
            "the first steps will worsen the generator for a while."
        )
