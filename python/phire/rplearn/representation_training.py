"""Training of a representation on records of pairs."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from phire import files
from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.fields.units import difference
from phire.networks import encoder as encoders
from phire.parts import Specification
from phire.records import Records, naming_damage, open_records
from phire.records.schema import SampleSchema
from phire.rplearn.pretext_task import Task
from phire.rplearn.recipes import CLIP_NORM, LEARNING_RATES, build_optimizer, recipe_of
from phire.training import Phase, Run, choose_strategy, scheduled, train
from phire.training.registry import objective as all_objectives
from phire.training.registry import schedule as schedules

objectives = all_objectives.within("phire.rplearn")
"""Objectives that train an encoder on pairs."""


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
    clip_norm: float | None = None,
    clip_variable_norm: float | None = None,
    clip_value: float | None = None,
    seed: int = 0,
    devices: str = "auto",
    **loop: Any,
) -> Run:
    """Trains an encoder on a pretext task; the same call continues an interrupted run.

    Args:
        records: Pair records to train on.
        run: The run's directory.
        validation: Held-out pair records, for losses during training.
        network: The encoder, ``NAME,key=value,…`` or a mapping with the key ``name``; ``phire parts
            encoder`` lists them.
        network_options: Further options of the encoder.
        objective: The pretext task, likewise: temporal-distance, autoencoder or inpainting.
        objective_options: Further options of the objective.
        schedule: Schedule of the learning rate in the epochs on everything: ``phire parts
            schedule``.
        classes: Lags to tell apart, 1 … classes; by default all in the records.
        epochs: Epochs on everything. None takes the network's recipe (``recipes``), as do the
            other options that are None by default.
        batch_size: Pairs a step, over all devices.
        optimizer: ``sgd`` (momentum 0.9) or ``adam``.
        learning_rate: At the beginning; None takes the optimizer's (0.1 for sgd, 0.001 for adam).
        warm_up_epochs: Epochs on one fixed set of batches before.
        warm_up_batches: Size of that set.
        cool_down_epochs: Epochs at a tenth of the learning rate at the end.
        validate_every: Epochs between validations.
        clip_norm, clip_variable_norm, clip_value: See :func:`phire.training.train`; by default each
            variable's gradient is clipped to the norm 5.
        seed: Of the weights and the order of the data.
        devices, **loop: See :func:`phire.training.train`.

    Returns:
        The run.

    Raises:
        InputError: Records, options or a run that do not fit; the message says which.
    """
    network, network_options = encoders.resolve(network, network_options)
    objective, objective_options = objectives.resolve(objective, objective_options)
    chosen = _with_recipe(
        network, epochs=epochs, batch_size=batch_size, optimizer=optimizer,
        warm_up_epochs=warm_up_epochs, warm_up_batches=warm_up_batches,
        cool_down_epochs=cool_down_epochs, validate_every=validate_every,
        learning_rate=learning_rate,
    )  # fmt: skip
    if clip_norm is None and clip_value is None and clip_variable_norm is None:
        clip_variable_norm = CLIP_NORM
    choose_strategy(devices)  # before any other operation of TensorFlow
    opened, classes = _open_pairs(records, classes, chosen["batch_size"])
    schema = opened.schema
    held = _open_validation(validation, schema, classes, chosen["batch_size"])
    metric = objective_options.get("metric")
    if metric is not None:  # from another folder, the same metric has another relative path
        objective_options = {**objective_options, "metric": str(Path(metric).resolve())}
    options = {
        **_inputs(records, validation, metric),
        "network": {"name": network, **network_options},
        "objective": {"name": objective, **objective_options},
        "schedule": schedules.mapping(schedule),
        "classes": classes,
        **chosen,
        "fields": _fields(schema, classes),
    }
    task = Task(
        (*schema.patch, len(schema.channels)), classes, tuple(schema.channels), network,
        network_options,
        functools.partial(build_optimizer, chosen["optimizer"], chosen["learning_rate"]),
    )  # fmt: skip

    def validation_batches(shard: tuple[int, int]) -> Any:
        return renormalised(
            held.dataset(chosen["batch_size"], shard=shard, classes=classes),
            held.schema.normalization,
            schema.normalization,
        )

    with naming_damage(opened, held):
        return train(
            lambda: objectives.build(objective, task, options=objective_options),
            _phases(opened, chosen, schedule, classes, seed),
            run=run,
            options=options,
            validation=None if held is None else validation_batches,
            monitor="loss" if held is None else "val_loss",
            clip_norm=clip_norm,
            clip_variable_norm=clip_variable_norm,
            clip_value=clip_value,
            seed=seed,
            devices=devices,
            **loop,
        )


def _inputs(
    records: str | os.PathLike, validation: str | os.PathLike | None, metric: str | None
) -> dict[str, Any]:
    """Returns paths and fingerprints of what a training reads, as its run keeps them."""
    return {
        "records": str(Path(records).resolve()),
        "records_fingerprint": files.fingerprint(records),
        "validation": str(Path(validation).resolve()) if validation else None,
        "validation_fingerprint": files.fingerprint(validation) if validation else None,
        "metric_fingerprint": files.fingerprint(metric) if metric else None,
    }


def _fields(schema: SampleSchema, classes: int) -> dict[str, Any]:
    """Returns the description of the fields that a run's encoder takes."""
    return {
        "channels": schema.channels,
        "units": schema.units,
        "patch": schema.patch,
        "step": schema.step,
        "classes": classes,
        "normalization": schema.normalization.to_dict(),
    }


def _with_recipe(network: str, **given: Any) -> dict[str, Any]:
    """Completes options by the network's recipe."""
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
    """Opens the records; returns them and the number of lags."""
    opened = open_records(records)
    schema = opened.schema
    if schema.kind != "pairs":
        raise InputError(f"{records} holds {schema.kind} records: name pairs of rplearn-data.")
    classes = classes or schema.classes
    if not 2 <= classes <= schema.classes:
        raise InputError(
            f"--classes {classes}: {records} holds the lags 1 … {schema.classes}; name a number "
            f"from 2 to {schema.classes}, or make records with more."
        )
    _check_batch(opened, classes, batch_size)
    return opened, classes


def _check_batch(records: Records, classes: int, batch_size: int) -> None:
    """Raises InputError where records hold no whole batch, as only whole ones are read."""
    count = records.count_classes(classes)
    if count < batch_size:
        raise InputError(
            f"{records.path} holds {count} pairs with lags up to {classes}, fewer than a batch of "
            f"{batch_size}: make more, or pass a smaller --batch-size."
        )


def _phases(
    records: Records, chosen: Mapping[str, Any], schedule: Specification, classes: int, seed: int
) -> list[Phase]:
    """The warm-up on a fixed set, the epochs on everything under the schedule, the cool-down."""
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
    """Opens the validation records, which must be of the same kind as the training records."""
    if validation is None:
        return None
    from phire.records import open_records

    held = open_records(validation)
    found = held.manifest.schema
    for name in ("kind", "channels", "units", "patch", "step"):
        here, there = getattr(found, name), getattr(schema, name)
        if name == "units" and difference(found.channels, here, there) is None:
            continue
        if here != there:
            raise InputError(
                f"--validation {validation} has the {name} {here}, the training records {there}: "
                "name records made in the same way."
            )
    if found.classes < classes:
        raise InputError(
            f"--validation {validation} holds the lags 1 … {found.classes}, training has "
            f"{classes}: make validation records with --classes {classes}."
        )
    _check_batch(held, classes, batch_size)
    return held


def renormalised(dataset: Any, own: Normalization, wanted: Normalization) -> Any:
    """Transforms pairs from one normalization to another."""
    if own == wanted:
        return dataset

    def bring(batch: dict[str, Any]) -> dict[str, Any]:
        moved = {
            name: wanted.apply(own.invert(batch[name], xp=keras.ops), xp=keras.ops)
            for name in ("first", "second")
        }
        return {**batch, **moved}

    return dataset.map(bring)
