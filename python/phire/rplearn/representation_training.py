"""Training of an encoder on pair records."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from phire import provenance
from phire.errors import InputError, naming_arguments
from phire.fields.normalization import Normalization
from phire.fields.units import difference
from phire.networks import encoder as encoders
from phire.part_registry import Specification
from phire.records import Records, naming_damage, open_records
from phire.records.schema import SampleSchema
from phire.rplearn.pretext_task import Task
from phire.rplearn.recipes import CLIP_NORM, LEARNING_RATES, build_optimizer, recipe_of
from phire.training import Phase, Run, choose_strategy, scheduled, train
from phire.training.registry import objective as all_objectives
from phire.training.registry import schedule as schedules

objectives = all_objectives.within("phire.rplearn")
"""Names of the objectives that train an encoder on pairs."""

CLIPPING = ("clip_norm", "clip_variable_norm", "clip_value")
"""Options of :func:`phire.training.train` that clip gradients."""


@naming_arguments()
def train_representation(
    records: str | os.PathLike,
    *,
    run: str | os.PathLike,
    validation: str | os.PathLike | None = None,
    network: Specification = "resnet-small",
    network_options: Mapping[str, Any] | None = None,
    objective: Specification = "temporal-distance",
    objective_options: Mapping[str, Any] | None = None,
    schedule: Specification = "plateau",
    classes: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    warm_up_epochs: int | None = None,
    warm_up_batches: int | None = None,
    cool_down_epochs: int | None = None,
    validate_every: int | None = None,
    seed: int = 0,
    devices: str = "auto",
    **loop: Any,
) -> Run:
    """Trains an encoder on a pretext task; the same call resumes an interrupted run.

    Args:
        records: Pair records to train on.
        run: Directory of the run.
        validation: Held-out pair records, for validation during training.
        network: The encoder, as ``NAME,key=value,…`` or a mapping with the key ``name``; ``phire
            parts encoder`` lists all.
        network_options: Further options of the encoder.
        objective: The pretext task, in the same form: temporal-distance, autoencoder or
            inpainting.
        objective_options: Further options of the objective.
        schedule: Schedule of the learning rate in the epochs on all data; ``phire parts
            schedule`` lists all.
        classes: Number of lags to predict, 1 … classes; by default all in the records.
        epochs: Epochs on all data. This and the other options that are None by default take the
            value of the network's recipe (:mod:`phire.rplearn.recipes`).
        batch_size: Number of pairs in a step, over all devices.
        optimizer: ``sgd`` (momentum 0.9) or ``adam``.
        learning_rate: Initial learning rate; None for the optimizer's default (0.1 for sgd, 0.001
            for adam).
        warm_up_epochs: Epochs on one fixed set of batches, at the beginning.
        warm_up_batches: Number of batches in this set.
        cool_down_epochs: Epochs at a tenth of the learning rate, at the end.
        validate_every: Number of epochs between validations.
        seed: Seed of the initial weights and of the order of samples.
        devices, **loop: See :func:`phire.training.train`. Without ``clip_norm``,
            ``clip_variable_norm`` and ``clip_value`` the gradient of each variable is clipped to
            norm 5.

    Returns:
        The run.

    Raises:
        InputError: The records, an option or an existing run do not match; the message names
            which.
    """
    network, network_options = encoders.resolve(network, network_options)
    objective, objective_options = objectives.resolve(objective, objective_options)
    chosen = _with_recipe(
        network, epochs=epochs, batch_size=batch_size, optimizer=optimizer,
        warm_up_epochs=warm_up_epochs, warm_up_batches=warm_up_batches,
        cool_down_epochs=cool_down_epochs, validate_every=validate_every,
        learning_rate=learning_rate,
    )  # fmt: skip
    if all(loop.get(name) is None for name in CLIPPING):
        loop["clip_variable_norm"] = CLIP_NORM
    choose_strategy(devices)  # TensorFlow requires this before any other operation
    opened, classes = _open_pairs(records, classes, chosen["batch_size"])
    schema = opened.schema
    held_out = _open_validation(validation, schema, classes, chosen["batch_size"])
    objective_options = _with_absolute_metric(objective_options)
    recorded = {
        **_inputs(records, validation, objective_options.get("metric")),
        "network": {"name": network, **network_options},
        "objective": {"name": objective, **objective_options},
        "schedule": schedules.mapping(schedule),
        "classes": classes,
        **chosen,
        "fields": _fields(schema, classes),
    }
    task = _pretext_task(schema, classes, network, network_options, chosen)
    validate = functools.partial(
        _validation_batches, held_out, chosen["batch_size"], classes, schema.normalization
    )
    with naming_damage(opened, held_out):
        return train(
            lambda: objectives.build(objective, task, options=objective_options),
            _phases(opened, chosen, schedule, classes, seed),
            run=run, options=recorded, seed=seed, devices=devices,
            validation=None if held_out is None else validate,
            monitor="loss" if held_out is None else "val_loss", **loop,
        )  # fmt: skip


def _with_absolute_metric(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns an objective's options with the absolute path of its metric.

    The run records the options, and a relative path would change with the working directory.
    """
    if options.get("metric") is None:
        return options
    return {**options, "metric": str(Path(options["metric"]).resolve())}


def _pretext_task(
    schema: SampleSchema, classes: int, network: str, network_options: Mapping[str, Any],
    chosen: Mapping[str, Any],
) -> Task:  # fmt: skip
    """Returns the task of training an encoder on pairs of this schema."""
    return Task(
        (*schema.patch, len(schema.channels)), classes, tuple(schema.channels), network,
        network_options,
        functools.partial(build_optimizer, chosen["optimizer"], chosen["learning_rate"]),
    )  # fmt: skip


def _validation_batches(
    held_out: Records, batch_size: int, classes: int, wanted: Normalization, shard: tuple[int, int]
) -> Any:
    """Returns batches of held-out pairs in the normalization of the training records."""
    dataset = held_out.dataset(batch_size, shard=shard, classes=classes)
    return renormalised(dataset, held_out.schema.normalization, wanted)


def _inputs(
    records: str | os.PathLike, validation: str | os.PathLike | None, metric: str | None
) -> dict[str, Any]:
    """Returns the paths and fingerprints of the inputs in the form of ``config.yaml``."""
    return {
        "records": str(Path(records).resolve()),
        "records_fingerprint": provenance.fingerprint(records),
        "validation": str(Path(validation).resolve()) if validation else None,
        "validation_fingerprint": provenance.fingerprint(validation) if validation else None,
        "metric_fingerprint": provenance.fingerprint(metric) if metric else None,
    }


def _fields(schema: SampleSchema, classes: int) -> dict[str, Any]:
    """Returns the run's description of the fields that the encoder is trained on."""
    return {
        "channels": schema.channels,
        "units": schema.units,
        "patch": schema.patch,
        "step": schema.step,
        "classes": classes,
        "normalization": schema.normalization.to_dict(),
    }


def _with_recipe(network: str, **given: Any) -> dict[str, Any]:
    """Replaces options that are None with the values of the network's recipe."""
    recipe = recipe_of(network)
    chosen = {
        name: getattr(recipe, name) if value is None else value
        for name, value in given.items()
        if name != "learning_rate"
    }
    rate = given["learning_rate"]
    rate = LEARNING_RATES.get(chosen["optimizer"]) if rate is None else rate
    return {**chosen, "learning_rate": rate}


def _open_pairs(
    records: str | os.PathLike, classes: int | None, batch_size: int
) -> tuple[Records, int]:
    """Opens pair records; returns them and the number of lags."""
    opened = open_records(records)
    schema = opened.schema
    if schema.kind != "pairs":
        raise InputError(f"{records} holds {schema.kind} records: name pairs of rplearn-data.")
    classes = classes or schema.classes
    if not 2 <= classes <= schema.classes:
        raise InputError(
            f"--classes {classes}: {records} holds the lags 1 … {schema.classes}: name a number "
            f"from 2 to {schema.classes}, or make records with more."
        )
    _check_batch(opened, classes, batch_size)
    return opened, classes


def _check_batch(records: Records, classes: int, batch_size: int) -> None:
    """Raises an InputError if records hold less than one batch; partial batches are not read."""
    count = records.count_classes(classes)
    if count < batch_size:
        raise InputError(
            f"{records.path} holds {count} pairs with lags up to {classes}, fewer than a batch of "
            f"{batch_size}: make more, or pass a smaller --batch-size."
        )


def _phases(
    records: Records, chosen: Mapping[str, Any], schedule: Specification, classes: int, seed: int
) -> list[Phase]:
    """Returns the phases: warm-up on a fixed set, all data with the schedule, cool-down."""
    size = chosen["batch_size"]
    steps = records.count_classes(classes) // size
    few = min(chosen["warm_up_batches"], steps)
    rate = chosen["learning_rate"]

    def phase(name: str, epochs: int, offset: int, limit: int | None, rate: float) -> Phase:
        def batches(epoch: int, skip: int, shard: tuple[int, int]) -> Any:
            return records.dataset(
                size, seed=seed, epoch=offset + epoch, skip=skip, shard=shard, classes=classes,
                limit=limit,
            )  # fmt: skip

        every = chosen["validate_every"]
        return Phase(name, epochs, batches, limit or steps, {"network": rate}, validate_every=every)

    before, epochs = chosen["warm_up_epochs"], chosen["epochs"]
    found = [phase("warm-up", before, 0, few, rate)] if before else []
    found += scheduled(schedule, [phase("training", epochs, before, None, rate)])
    if chosen["cool_down_epochs"]:
        last = chosen["cool_down_epochs"]
        found.append(phase("cool-down", last, before + epochs, None, 0.1 * rate))
    return found


def _open_validation(
    validation: str | os.PathLike | None, schema: Any, classes: int, batch_size: int
) -> Any:
    """Opens the validation records.

    Raises:
        InputError: They differ from the training records in channels, units, patch or step, or
            hold fewer lags.
    """
    if validation is None:
        return None
    held_out = open_records(validation)
    found = held_out.manifest.schema
    for name in ("kind", "channels", "units", "patch", "step"):
        found_value, trained_value = getattr(found, name), getattr(schema, name)
        if name == "units" and difference(found.channels, found_value, trained_value) is None:
            continue
        if found_value != trained_value:
            raise InputError(
                f"--validation {validation} has the {name} {found_value}, the training records "
                f"have {trained_value}: name records made with the same options."
            )
    if found.classes < classes:
        raise InputError(
            f"--validation {validation} holds the lags 1 … {found.classes}, training has "
            f"{classes}: make validation records with --classes {classes}."
        )
    _check_batch(held_out, classes, batch_size)
    return held_out


def renormalised(dataset: Any, present: Normalization, wanted: Normalization) -> Any:
    """Converts a dataset of pairs from its present normalization to the wanted one."""
    if present == wanted:
        return dataset

    def renormalise(batch: dict[str, Any]) -> dict[str, Any]:
        pair = {
            name: wanted.apply(present.invert(batch[name], xp=keras.ops), xp=keras.ops)
            for name in ("first", "second")
        }
        return {**batch, **pair}

    return dataset.map(renormalise)
