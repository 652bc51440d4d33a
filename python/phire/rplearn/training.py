"""Training of a representation: records of pairs in, a run out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from phire import files
from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.fields.units import difference
from phire.rplearn.description import read_metric_file
from phire.rplearn.recipes import LEARNING_RATES, build_optimizer, parse_network_options, recipe_of

TASKS = ("temporal-distance", "autoencoder", "inpainting")


def train_representation(
    records: str | os.PathLike,
    *,
    run: str | os.PathLike,
    validation: str | os.PathLike | None = None,
    task: str = "temporal-distance",
    network: str = "resnet-small",
    network_options: Mapping[str, Any] | None = None,
    head_filters: int = 128,
    classes: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    clip_norm: float = 5.0,
    label_smoothing: float | None = None,
    flips: bool = False,
    warm_up_epochs: int | None = None,
    warm_up_batches: int | None = None,
    cool_down_epochs: int | None = None,
    plateau_factor: float = 0.1,
    plateau_patience: int = 8,
    plateau_threshold: float = 0.04,
    lowest_learning_rate: float = 1e-5,
    validate_every: int | None = None,
    metric: str | os.PathLike | None = None,
    seed: int = 0,
    devices: str = "auto",
    precision: str = "float32",
    jit: bool = False,
    deterministic: bool = False,
    checkpoint_minutes: float = 10.0,
    checkpoint_steps: int | None = None,
    overwrite: bool = False,
) -> None:
    """Trains an encoder on a pretext task; the same call continues an interrupted run.

    Args:
        records: Pair records to train on.
        run: The run's directory.
        validation: Held-out pair records, for losses during training.
        task: One of ``TASKS``.
        network: Name of the encoder, as ``phire parts encoder`` lists them.
        network_options: Arguments of the encoder that replace its preset's.
        head_filters: Filters of the two convolutions that tell the lag.
        classes: Lags to tell apart, 1 … classes; by default all in the records.
        epochs: Epochs on everything. None takes the network's recipe (``recipes``), as do the
            other options that are None by default.
        batch_size: Pairs a step, over all devices.
        optimizer: ``sgd`` (momentum 0.9) or ``adam``.
        learning_rate: At the beginning; None takes the optimizer's (0.1 for sgd, 0.001 for adam).
        clip_norm: Each variable's gradient is clipped to this norm.
        label_smoothing: Share of probability given to all lags alike.
        flips: Mirror pairs at random, as augmentation where data are few.
        warm_up_epochs: Epochs on one fixed set of batches before.
        warm_up_batches: Size of that set.
        cool_down_epochs: Epochs at a tenth of the learning rate at the end.
        plateau_factor, plateau_patience, plateau_threshold, lowest_learning_rate: The learning
            rate is multiplied by the factor when the training loss has not fallen by the threshold
            for so many epochs, down to the lowest.
        validate_every: Epochs between validations.
        metric: For inpainting: a metric whose distance makes 0.9 of the loss.
        seed: Of the weights and the order of the data.
        devices, precision, jit, deterministic, checkpoint_minutes, checkpoint_steps: See
            ``phire.training.train``.
        overwrite: Start anew.

    Raises:
        InputError: Records, options or a run that do not fit; the message says which.
    """
    from phire.records import naming_damage, open_records
    from phire.training import Phase, choose_strategy, train

    recipe = recipe_of(network)
    chosen = {
        name: getattr(recipe, name) if value is None else value
        for name, value in (
            ("epochs", epochs),
            ("batch_size", batch_size),
            ("optimizer", optimizer),
            ("label_smoothing", label_smoothing),
            ("warm_up_epochs", warm_up_epochs),
            ("warm_up_batches", warm_up_batches),
            ("cool_down_epochs", cool_down_epochs),
            ("validate_every", validate_every),
        )
    }
    chosen["learning_rate"] = (
        LEARNING_RATES.get(chosen["optimizer"]) if learning_rate is None else learning_rate
    )
    overrides = parse_network_options(network_options)
    if task not in TASKS:
        raise InputError(f"--task {task}: choose one of {', '.join(TASKS)}.")
    if metric is not None and task != "inpainting":
        raise InputError(f"--metric is for the task inpainting: leave it out for {task}.")
    if chosen["label_smoothing"] and task != "temporal-distance":
        if label_smoothing is not None:
            raise InputError(
                f"--label-smoothing is for temporal-distance: leave it out for {task}."
            )
        chosen["label_smoothing"] = 0.0
    choose_strategy(devices)  # several machines meet before anything else is done
    opened = open_records(records)
    schema = opened.manifest.schema
    if schema.kind != "pairs":
        raise InputError(f"{records} holds {schema.kind} records: name pairs of rplearn-data.")
    classes = classes or schema.classes
    if not 2 <= classes <= schema.classes:
        raise InputError(
            f"--classes {classes}: {records} holds the lags 1 … {schema.classes}; name a number "
            f"from 2 to {schema.classes}, or make records with more."
        )
    count = opened.count_classes(classes)
    size = chosen["batch_size"]
    if count < size:
        raise InputError(
            f"{records} holds {count} pairs with lags up to {classes}, fewer than a batch of "
            f"{size}: make more, or pass a smaller --batch-size."
        )
    held = _open_validation(validation, schema, classes)
    # Mistakes in what is built must show before a run directory is made.
    input_shape = (*schema.patch, len(schema.channels))
    build_optimizer(chosen["optimizer"], chosen["learning_rate"], clip_norm)
    make_encoder(network, input_shape, overrides)
    if metric is not None:
        _open_metric(metric, schema.channels)
    facts = {
        "channels": schema.channels,
        "units": schema.units,
        "patch": schema.patch,
        "step": schema.step,
        "classes": classes,
        "normalization": schema.normalization.to_dict(),
    }
    options = {
        "records": str(Path(records).resolve()),
        "records_fingerprint": files.fingerprint(records),
        "validation": str(Path(validation).resolve()) if validation else None,
        "validation_fingerprint": files.fingerprint(validation) if validation else None,
        "task": task,
        "network": network,
        "network_options": overrides,
        "head_filters": head_filters,
        "classes": classes,
        **chosen,
        "clip_norm": clip_norm,
        "flips": flips,
        "plateau_factor": plateau_factor,
        "plateau_patience": plateau_patience,
        "plateau_threshold": plateau_threshold,
        "lowest_learning_rate": lowest_learning_rate,
        "metric": str(Path(metric).resolve()) if metric else None,
        "metric_fingerprint": files.fingerprint(metric) if metric else None,
        "fields": facts,
    }

    def build() -> Any:
        return build_objective(
            task,
            network,
            input_shape=input_shape,
            classes=classes,
            optimizer=build_optimizer(chosen["optimizer"], chosen["learning_rate"], clip_norm),
            network_options=overrides,
            head_filters=head_filters,
            label_smoothing=chosen["label_smoothing"],
            flips=flips,
            metric=metric,
        )

    def batches(limit: int | None, offset: int) -> Any:
        def of(epoch: int, skip: int, shard: tuple[int, int]) -> Any:
            return opened.dataset(
                size,
                seed=seed,
                epoch=offset + epoch,
                skip=skip,
                shard=shard,
                classes=classes,
                limit=limit,
            )

        return of

    plateau = {
        "monitor": "loss",
        "factor": plateau_factor,
        "patience": plateau_patience,
        "min_delta": plateau_threshold,
        "floor": lowest_learning_rate,
    }
    steps = count // size
    phases = []
    if chosen["warm_up_epochs"]:
        limit = min(chosen["warm_up_batches"], steps)
        phases.append(
            Phase(
                name="warm-up",
                epochs=chosen["warm_up_epochs"],
                batches=batches(limit, 0),
                steps=limit,
                validate_every=chosen["validate_every"],
            )
        )
    phases.append(
        Phase(
            name="training",
            epochs=chosen["epochs"],
            batches=batches(None, chosen["warm_up_epochs"]),
            steps=steps,
            reduce_on_plateau={"network": plateau},
            validate_every=chosen["validate_every"],
        )
    )

    if chosen["cool_down_epochs"]:
        phases.append(
            Phase(
                name="cool-down",
                epochs=chosen["cool_down_epochs"],
                batches=batches(None, chosen["warm_up_epochs"] + chosen["epochs"]),
                steps=steps,
                learning_rates={"network": 0.1 * chosen["learning_rate"]},
                validate_every=chosen["validate_every"],
            )
        )

    def validation_batches(shard: tuple[int, int]) -> Any:
        return renormalised(
            held.dataset(size, shard=shard, classes=classes),
            held.manifest.schema.normalization,
            schema.normalization,
        )

    with naming_damage(opened, held):
        train(
            build,
            phases,
            run=run,
            options=options,
            validation=validation_batches if held is not None else None,
            monitor="loss" if held is None else "val_loss",
            seed=seed,
            overwrite=overwrite,
            devices=devices,
            precision=precision,
            jit=jit,
            deterministic=deterministic,
            checkpoint_minutes=checkpoint_minutes,
            checkpoint_steps=checkpoint_steps,
        )


def _open_validation(validation: str | os.PathLike | None, schema: Any, classes: int) -> Any:
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
    return held


def renormalised(dataset: Any, own: Normalization, wanted: Normalization) -> Any:
    """Pairs that one normalization made, in another's space."""
    if own == wanted:
        return dataset

    def bring(batch: dict[str, Any]) -> dict[str, Any]:
        moved = {
            name: wanted.apply(own.invert(batch[name], xp=keras.ops), xp=keras.ops)
            for name in ("first", "second")
        }
        return {**batch, **moved}

    return dataset.map(bring)


def build_objective(
    task: str,
    network: str,
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    optimizer: keras.optimizers.Optimizer,
    network_options: Mapping[str, Any],
    head_filters: int = 128,
    label_smoothing: float = 0.0,
    flips: bool = False,
    metric: str | os.PathLike | None = None,
) -> Any:
    """The objective of a task on a new encoder; arguments as of ``train_representation``.

    Raises:
        InputError: An unknown network, or options that it does not have.
    """
    from phire.networks.decoders import reconstruction_network
    from phire.networks.temporal import temporal_distance_network

    encoder = make_encoder(network, input_shape, network_options)
    if task == "temporal-distance":
        from phire.rplearn.temporal_distance import TemporalDistance

        return TemporalDistance(
            temporal_distance_network(encoder, classes, head_filters=head_filters),
            optimizer,
            label_smoothing=label_smoothing,
            flips=flips,
        )
    from phire.rplearn.metric import LearnedMetric
    from phire.rplearn.reconstruction import Autoencoder, Inpainting, hole_of

    # The decoder mirrors the encoder: as many filters and blocks a stage.
    stages = [layer for layer in encoder.layers if layer.name.startswith("stage")]
    mirror = {
        "filters": [layer.output.shape[-1] for layer in stages],
        "blocks": list(network_options.get("blocks", _blocks(network, len(stages)))),
    }
    if task == "autoencoder":
        made = reconstruction_network(encoder, input_shape, name="autoencoder", **mirror)
        return Autoencoder(made, optimizer)
    hole = hole_of(input_shape[:2])
    shape = (*(part.stop - part.start for part in hole), input_shape[2])
    made = reconstruction_network(encoder, shape, name="inpainting", **mirror)
    return Inpainting(
        made, optimizer, metric=None if metric is None else LearnedMetric.load(metric)
    )


def make_encoder(
    network: str, input_shape: tuple[int, int, int], options: Mapping[str, Any]
) -> keras.Model:
    """An encoder by name.

    Raises:
        InputError: An unknown name, or options that it does not have.
    """
    from phire.networks import encoder

    try:
        return encoder.build(network, input_shape, options=options)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"--network-option: {network} cannot be built with {dict(options)} on patches of "
            f"{input_shape} ({error})."
        ) from None


def _open_metric(metric: str | os.PathLike, channels: tuple[str, ...]) -> None:
    held = read_metric_file(metric)["channels"]
    if tuple(held) != tuple(channels):
        raise InputError(
            f"--metric {metric} was trained on {', '.join(held)}, the records hold "
            f"{', '.join(channels)}: name a metric of the same channels."
        )


def _blocks(network: str, stages: int) -> list[int]:
    from phire.networks import encoder

    # ResNet-101's bottlenecks are deeper than they are wide; six blocks mirror each of its stages.
    return list(encoder.part(network).options.get("blocks", (6,) * stages))
