"""Training of a generator, as ``phire-train`` does it."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phire import files, progress
from phire.downscaling.contents.weighted_sum import content_text, metrics_of, parse_content
from phire.downscaling.diffusion_target import with_measured_scales
from phire.downscaling.generator_task import Task
from phire.downscaling.latent_space import NETWORK as AUTOENCODER
from phire.downscaling.latent_space import LatentSpace
from phire.downscaling.objectives.supervised import PRETRAINING
from phire.downscaling.residual_base import NETWORK, ResidualBase
from phire.downscaling.run_inputs import recorded_inputs
from phire.errors import InputError, naming_arguments
from phire.fields.units import difference
from phire.networks import network as networks
from phire.parts import Specification, parse
from phire.records import Records, anomalies, naming_damage, open_records, statics
from phire.records.folds import FoldedRecords, fold_edges
from phire.records.schema import SampleSchema
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

    The defaults are PhIRE's: five epochs on the pixel MSE alone, then 15 at 1e-4 and 5 at 1e-5 with
    content and adversary.

    Args:
        records: Downscaling records (of ``phire-data``, or a bare file of PhIRE's).
        out: The run directory to make.
        validation: Records to validate on after every epoch.
        network: ``NAME,key=value,…`` or a mapping with the key ``name``; ``phire parts network``
            lists them.
        network_options: Further options of the network.
        objective: The objective, likewise: ``phire parts objective``.
        objective_options: Further options of the objective.
        schedule: The schedule of the learning rates, likewise: ``phire parts schedule``. It spans
            all phases but a pretraining.
        epochs: Epochs of each phase after a pretraining.
        learning_rates: Adam's learning rate in each of these.
        batch_size: Samples of a (global) batch.
        conserve: Keep the block means of those coarse channels that are targets, too.
        pretrained: A run whose generator to start from, with the state of its optimizer; its
            pretraining is shared.
        initialize_from: A run whose generator's layers to begin from where the network has the same
            ones; the others, and the optimizer, begin anew.
        trainable: Patterns of the names of the generator's layers that learn, such as
            ``conv2d_1*``; the others keep their weights. By default all learn.
        select: Score of the best epoch, the least: ``loss``, ``spectrum`` (log-spectral error) or
            ``distance`` (learned; needs a metric in the objective's content).
        normalization, statistics, channels: For bare TFRecord files; see
            :func:`phire.records.open_records`.
        fold: (number, of how many): the part of the records' times to leave out; see
            :func:`phire.downscaling.fold_training.train_with_folds`.
        origin: Entries of the configuration in place of the paths and fingerprints of records that
            are temporary.
        seed, devices, **loop: See :func:`phire.training.train`: ``ema``, ``clip_norm``,
            ``precision``, ``jit``, ``deterministic``, ``overwrite`` ….

    Returns:
        The run.

    Raises:
        InputError: An option does not fit the records or the others.
        WorkError: See :func:`phire.training.train`.
    """
    network, network_options = networks.resolve(network, network_options)
    objective, objective_options = _with_target_of_latent(objective, objective_options)
    _check_lengths(epochs, learning_rates, objective_options)
    choose_strategy(devices)  # before any other operation of TensorFlow
    bare = {"normalization": normalization, "statistics": statistics, "channels": channels}
    opened, held_out = _open_both(records, validation, bare, batch_size)
    schema = opened.schema
    opened, further = _without_fold(opened, fold)
    _check_periodic(network_options, schema, records)
    objective_options, metrics = _with_content_text(objective_options)
    _check_selection(select, validation, metrics, denoises="sigma_data" in objective_options)
    residual = None
    if objective_options.get("residual"):
        residual = ResidualBase.open(objective_options["residual"], schema)
        objective_options = {**objective_options, "residual": str(residual.path.resolve())}
        opened, held_out = (one and residual.with_folds(one) for one in (opened, held_out))
        further["residual_fingerprint"] = residual.fingerprint()
    latent, trained, measured = None, schema, opened
    if objective_options.get("latent"):
        latent = LatentSpace.open(objective_options["latent"], schema, opened)
        trained, measured = latent.schema, latent.encoded(opened)
        objective_options = {**objective_options, "latent": str(latent.path.resolve())}
        further["latent"] = latent.to_dict()
    objective_options = with_measured_scales(objective_options, trained, measured, residual)
    if loop.get("ema") is None:
        loop["ema"] = objective_options.get("ema")
    if "sigma_data" in objective_options and "denoiser" in network_options:
        network_options = {**network_options, "denoiser": True}
    start = _starting_weights(pretrained, initialize_from, trainable)
    task = Task(
        trained, network, network_options, conserve, residual=residual, latent=latent, **start
    )
    paths = {"records": records, "validation": validation, "pretrained": pretrained}
    given = _configuration(
        opened, paths, task, {"name": objective, **objective_options}, metrics, schema=schema,
        schedule=schedules.mapping(schedule), epochs=list(epochs),
        learning_rates=list(learning_rates), batch_size=batch_size,
    )  # fmt: skip
    further.update(_fine_tuning(initialize_from, trainable))
    if pretrained is not None:
        objective_options = {**objective_options, "pretrain_epochs": 0}
    phases = _phases(opened, epochs, learning_rates, objective_options, batch_size, seed, schedule)
    with naming_damage(opened, held_out):
        run = train(
            functools.partial(_build, objective, objective_options, task, pretrained),
            phases,
            run=out,
            options={**given, **further, **(origin or {})},
            validation=held_out and functools.partial(_validation_batches, held_out, batch_size),
            monitor="loss" if held_out is None else SELECTIONS[select],
            seed=seed,
            devices=devices,
            **loop,
        )
    _copy_inputs(run, records, residual, latent)
    return run


def _with_target_of_latent(
    objective: Specification, options: Mapping[str, Any] | None
) -> tuple[str, dict[str, Any]]:
    """Resolves an objective; in a latent space the target is the latent field itself.

    Raises:
        InputError: A residual is asked for in a latent space.
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


def _without_fold(records: Records, fold: tuple[int, int] | None) -> tuple[Records, dict[str, Any]]:
    """Returns the records without a part of their times, and what the configuration says of it."""
    if fold is None:
        return records, {}
    edges = fold_edges(records, fold[1])
    described = {"number": fold[0], "of": fold[1], "edges": edges}
    return FoldedRecords(records, edges, left_out=fold[0]), {"fold": described}


def _with_content_text(options: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """Returns the objective's options and the metrics of its content, with absolute paths.

    From another folder, the same metric has another relative path.
    """
    metrics = metrics_of(options.get("content") or "mse")
    if not metrics:
        return options, []
    content = content_text(parse_content(options["content"]))
    return {**options, "content": content}, metrics_of(content)


def _configuration(
    records: Records, paths: Mapping[str, str | os.PathLike | None], task: Task,
    objective: Mapping[str, Any], metrics: Sequence[str], schema: SampleSchema, **plain: Any,
) -> dict[str, Any]:  # fmt: skip
    """Returns the options as resolved, as the run keeps them."""
    kernel = [objective["metric"]] if objective.get("metric") else []
    return {
        "records": _absolute(paths["records"]),
        "records_fingerprint": files.fingerprint(paths["records"]),
        "validation": _absolute(paths["validation"]),
        "network": {"name": task.network, **task.network_options},
        "objective": dict(objective),
        "metric_fingerprints": {path: files.fingerprint(path) for path in [*metrics, *kernel]},
        **plain,
        "conserve": task.conserve,
        "pretrained": _absolute(paths["pretrained"]),
        "schema": schema.to_dict(),
        "inputs": recorded_inputs(records.manifest),
    }


def _fine_tuning(
    initialize_from: str | os.PathLike | None, trainable: Sequence[str]
) -> dict[str, Any]:
    """Returns what the configuration says of a warm start; nothing without one."""
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
    """Builds the objective; inside the strategy's scope."""
    built = objectives.build(objective, task, options=options)
    if pretrained is not None:
        _take_over(built, open_run(pretrained))
    return built


def _copy_inputs(
    run: Run, records: str | os.PathLike, residual: ResidualBase | None, latent: LatentSpace | None
) -> None:
    """Copies what a prediction needs of the records and of other runs into the run."""
    for source, name in ((residual, NETWORK), (latent, AUTOENCODER)):
        if source is not None:
            path = source.path / "networks" / "generator.keras"
            _copy(path, run.path / "networks" / f"{name}.keras")
    for name in (statics.NAME, anomalies.NAME):
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
    """Returns the initial weights of a task: a run's whole generator, or its matching layers."""
    if pretrained is not None and initialize_from is not None:
        raise InputError(
            "--pretrained and --initialize-from both name weights to begin from: give one."
        )
    found: dict[str, Any] = {"start_path": str(pretrained), "trainable": tuple(trainable)}
    if pretrained is not None:
        found["start"] = open_run(pretrained).network("generator").get_weights()
    if initialize_from is not None:
        found["source"] = open_run(initialize_from).network("generator")
    return found


def _absolute(path: str | os.PathLike | None) -> str | None:
    return None if path is None else str(Path(path).resolve())


def _check_lengths(
    epochs: Sequence[int], learning_rates: Sequence[float], options: Mapping[str, Any]
) -> None:
    if len(epochs) != len(learning_rates):
        raise InputError(
            f"--learning-rates has {len(learning_rates)} rates for the {len(epochs)} phases of "
            "--epochs: give one each."
        )
    counts = [options.get("pretrain_epochs", 0), *epochs]
    rates = [options.get("pretrain_rate", 1.0), *learning_rates]
    if min(counts) < 0 or min(rates) <= 0:
        raise InputError("epochs must not be negative, and learning rates must be positive.")


def _check_periodic(
    options: Mapping[str, Any], schema: SampleSchema, records: str | os.PathLike
) -> None:
    if options.get("periodic") and not _all_around(schema):
        raise InputError(
            f"--network …,periodic needs patches all around the globe, those of {records} are "
            f"{schema.patch[0]} × {schema.patch[1]} points: make records of a global grid with "
            "--whole-fields."
        )


def _check_selection(
    select: str, validation: str | os.PathLike | None, metrics: Sequence[str], denoises: bool
) -> None:
    if select not in SELECTIONS:
        raise InputError(f"--select {select} must be one of {', '.join(SELECTIONS)}.")
    if select != "loss" and validation is None:
        raise InputError(f"--select {select} needs --validation.")
    if select == "spectrum" and denoises:
        raise InputError(
            "--select spectrum is of objectives that generate fields: for a denoiser choose "
            "--select loss."
        )
    if select == "distance" and not metrics:
        raise InputError("--select distance needs a metric in the objective's content.")


def _phases(
    records: Records, epochs: Sequence[int], rates: Sequence[float], options: Mapping[str, Any],
    batch_size: int, seed: int, schedule: Specification,
) -> list[Phase]:  # fmt: skip
    """The pretraining, where the objective has one, and the phases under the schedule."""
    found: list[Phase] = []
    for name, count, rate in [
        (PRETRAINING, options.get("pretrain_epochs", 0), options.get("pretrain_rate")),
        *((f"phase {i + 1}", *both) for i, both in enumerate(zip(epochs, rates))),
    ]:
        if count:
            offset = sum(phase.epochs for phase in found)
            batches = functools.partial(_batches, records, batch_size, seed, offset)
            rates = {ALL: rate}
            if "discriminator_rate" in options:
                rates["discriminator"] = rate * options["discriminator_rate"]
            found.append(Phase(name, count, batches, records.steps(batch_size), rates))
    first = bool(found) and found[0].name == PRETRAINING
    return found[:first] + scheduled(schedule, found[first:])


def _take_over(objective: Any, source: Run) -> None:
    optimizer = objective.optimizers["generator"]
    if not take_over_optimizer(optimizer, source.checkpoints, "generator"):
        progress.say(
            f"{source.checkpoints} holds no state of Adam that fits: its moments begin "
            "anew, and the first steps will throw the generator off for a while."
        )


def _batches(
    records: Records, batch_size: int, seed: int, offset: int, epoch: int, skip: int,
    shard: tuple[int, int],
) -> Any:  # fmt: skip
    return records.dataset(batch_size, seed=seed, epoch=offset + epoch, skip=skip, shard=shard)


def _validation_batches(records: Records, batch_size: int, shard: tuple[int, int]) -> Any:
    size = min(batch_size, records.count)
    return records.dataset(size, shard=shard, drop_remainder=False)


def _open_both(
    records: str | os.PathLike, validation: str | os.PathLike | None, bare: Mapping[str, Any],
    batch_size: int,
) -> tuple[Records, Records | None]:  # fmt: skip
    """The records and those to validate on, which must be alike."""
    opened = _open(records, bare)
    held_out = None if validation is None else _open(validation, bare)
    if held_out is not None:
        _check_alike(opened, held_out)
    if batch_size > opened.count:
        raise InputError(
            f"--batch-size {batch_size} is larger than {records}, which holds {opened.count} "
            "records."
        )
    return opened, held_out


def _open(path: str | os.PathLike, bare: Mapping[str, Any]) -> Records:
    opened = open_records(path, **bare)
    kind = opened.schema.kind
    if kind != "downscaling":
        raise InputError(f"{path} holds {kind} records: name downscaling records of phire-data.")
    anomalies.read_anomalies(path, opened.schema.arrays)  # refuses another's
    return opened


def _check_alike(records: Records, validation: Records) -> None:
    if validation.schema.climatologies != records.schema.climatologies:
        raise InputError(
            f"--validation {validation.path} has other statistics of points and seasons than "
            f"{records.path}: make it with --statistics {records.path}."
        )
    for name in ("channels", "units", "scale", "patch", "normalization"):
        mine, theirs = (getattr(r.schema, name) for r in (records, validation))
        if name == "units" and difference(validation.schema.channels, theirs, mine) is None:
            continue
        if mine != theirs:
            hint = (
                "make them with --statistics RECORDS"
                if name == "normalization"
                else "make both alike"
            )
            raise InputError(
                f"--validation {validation.path} has another {name} than {records.path} "
                f"({theirs} instead of {mine}): {hint}."
            )


def _all_around(schema: SampleSchema) -> bool:
    """Returns True if the patches span the whole circle of longitude."""
    if schema.spacing is None:
        return False
    width = schema.patch[1] * schema.spacing[1]
    return abs(width - 360) < 0.5 * schema.spacing[1]
