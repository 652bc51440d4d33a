"""Training a generator: what ``phire-train`` does."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from phire import files, networks, progress
from phire.downscaling import content as contents
from phire.downscaling.objectives import PRETRAINING, SuperResolution
from phire.downscaling.spectrum_score import log_spectral_error
from phire.errors import InputError
from phire.fields.units import difference
from phire.networks import Shapes
from phire.networks.blocks.conservation import conserving
from phire.records import Records, open_records
from phire.records.schema import SampleSchema
from phire.training import (
    Phase,
    Run,
    choose_strategy,
    open_run,
    take_over_optimizer,
    train,
)

SELECTIONS = {"loss": "val_loss", "spectrum": "val_log_spectral_error", "distance": "val_distance"}


def train_generator(
    records: str | os.PathLike,
    out: str | os.PathLike,
    *,
    validation: str | os.PathLike | None = None,
    network: str = "srgan",
    factors: Sequence[int] | None = None,
    filters: int | None = None,
    blocks: int | None = None,
    upsampling: str = "subpixel",
    periodic: bool = False,
    conserve: bool = False,
    content: str = "mse",
    layers: Sequence[str] | None = None,
    adversarial_weight: float = 1e-3,
    pretrain_epochs: int = 5,
    pretrain_rate: float = 1e-4,
    pretrained: str | os.PathLike | None = None,
    epochs: Sequence[int] = (15, 5),
    learning_rates: Sequence[float] = (1e-4, 1e-5),
    batch_size: int = 64,
    average_decay: float | None = None,
    select: str = "loss",
    normalization: str | None = None,
    statistics: str | os.PathLike | None = None,
    seed: int = 0,
    devices: str = "auto",
    precision: str = "float32",
    jit: bool = False,
    deterministic: bool = False,
    checkpoint_minutes: float = 10.0,
    checkpoint_steps: int | None = None,
    overwrite: bool = False,
) -> Run:
    """Trains a super-resolution generator on downscaling records.

    The defaults are the paper's: five epochs on the pixel MSE alone, then 15 at 1e-4 and 5 at 1e-5
    with content and adversary.

    Args:
        records: Downscaling records (of ``phire-data``, or a bare file of PhIRE's).
        out: The run directory to make.
        validation: Records to validate on after every epoch.
        network: ``srgan`` or ``srgan-small``.
        factors: Upsampling factors whose product is the records' scale; by default its prime
            factors, the smallest first.
        filters, blocks: Width and depth of the generator, if not the network's.
        upsampling: ``subpixel`` or ``resize``.
        periodic: Pad around the circle of longitude; for records of whole global fields.
        conserve: Make block means equal the coarse input exactly.
        content: ``mse``, ``mae``, a metric's directory, or a weighted sum of these.
        layers: Layers of the metric to compare; by default its own.
        adversarial_weight: Weight of the adversarial loss; 0 trains on content alone.
        pretrain_epochs: Epochs on the pixel MSE alone.
        pretrain_rate: Their learning rate.
        pretrained: A run whose generator to start from, with the state of its optimizer; its
            pretraining is shared.
        epochs: Epochs of each phase after pretraining.
        learning_rates: Adam's learning rate in each of these.
        batch_size: Patches of a (global) batch.
        average_decay: Keep a moving average of the generator's weights of this decay as the
            network ``generator_average``.
        select: What the best epoch has the least of: ``loss``, ``spectrum`` (log-spectral error) or
            ``distance`` (learned; needs a metric in ``content``).
        normalization, statistics: For bare TFRecord files; see
            :func:`phire.records.open_records`.
        seed, devices, precision, jit, deterministic, checkpoint_minutes, checkpoint_steps,
            overwrite: See :func:`phire.training.train`.

    Returns:
        The run.

    Raises:
        InputError: An option does not fit the records or the others.
        WorkError: See :func:`phire.training.train`.
    """
    if len(epochs) != len(learning_rates):
        raise InputError(
            f"--learning-rates has {len(learning_rates)} rates for the {len(epochs)} phases of "
            "--epochs: give one each."
        )
    if min([pretrain_epochs, *epochs, 0]) < 0 or min([pretrain_rate, *learning_rates]) <= 0:
        raise InputError("--epochs must not be negative, and learning rates must be positive.")
    if adversarial_weight < 0:
        raise InputError(f"--adversarial-weight {adversarial_weight} must not be negative.")
    if average_decay is not None and not 0 < average_decay < 1:
        raise InputError(f"--average-decay {average_decay} must lie between 0 and 1.")
    choose_strategy(devices)  # several machines meet before anything else is done
    opened = _open(records, normalization, statistics)
    held_out = None if validation is None else _open(validation, normalization, statistics)
    if held_out is not None:
        _check_alike(opened, held_out)
    schema = opened.manifest.schema
    factors = _factors(schema.scale, factors)
    if batch_size > opened.count:
        raise InputError(
            f"--batch-size {batch_size} is larger than {records}, which holds {opened.count} "
            "records."
        )
    if periodic and not _all_around(schema):
        raise InputError(
            f"--periodic needs patches all around the globe, those of {records} are "
            f"{schema.patch[0]} × {schema.patch[1]} points: make records of a global grid with "
            "--whole-fields."
        )
    networks.network.part(network)
    if select not in SELECTIONS:
        raise InputError(f"--select {select} must be one of {', '.join(SELECTIONS)}.")
    if select != "loss" and validation is None:
        raise InputError(f"--select {select} needs --validation.")
    parts = contents.parse_content(content)
    metrics = [name for _, name in parts if name not in contents.PIXEL]
    for metric in metrics:
        contents.open_metric(metric, schema.channels, schema.units)
    if layers is not None and not metrics:
        raise InputError(f"--layers needs a metric in --content, which is {content}: leave it out.")
    if select == "distance" and not metrics:
        raise InputError("--select distance needs a metric in --content.")
    source = None if pretrained is None else open_run(pretrained)
    start = None if source is None else source.network("generator")

    overrides = {"filters": filters, "blocks": blocks}
    architecture = {
        **{name: value for name, value in overrides.items() if value is not None},
        "factors": list(factors),
        "upsampling": upsampling,
        "periodic": periodic,
        "conserve": conserve,
    }

    def build() -> SuperResolution:
        channels = len(schema.channels)
        shapes = Shapes.of((*schema.low_patch, channels), (*schema.patch, channels))
        own = {k: v for k, v in architecture.items() if k != "conserve"}
        generator = networks.network.build(network, shapes, options=own)
        if conserve:
            both = schema.normalization, schema.normalization
            generator = conserving(generator, shapes.scale, *both)
        if start is not None:
            _start_from(generator, start, pretrained)
        discriminator = None
        if adversarial_weight:
            discriminator = networks.discriminator.build(network, shapes, False)
        facts = {
            "normalization": schema.normalization,
            "channels": schema.channels,
            "units": schema.units,
        }
        scores = {"log_spectral_error": functools.partial(log_spectral_error, scale=schema.scale)}
        if metrics:
            scores["distance"] = contents.build_content(
                [(1.0, metric) for metric in metrics], layers=layers, **facts
            )
        objective = SuperResolution(
            generator,
            discriminator,
            contents.build_content(parts, layers=layers, **facts),
            adversarial_weight=adversarial_weight,
            pretraining_content=contents.build_content([(1.0, "mse")], **facts),
            average_decay=average_decay,
            validation_scores=scores,
        )
        if source is not None:
            optimizer = objective.optimizers["generator"]
            if not take_over_optimizer(optimizer, source.checkpoints, "generator"):
                progress.say(
                    f"{source.checkpoints} holds no state of Adam that fits: its moments begin "
                    "anew, and the first steps will throw the generator off for a while."
                )
        return objective

    phases = []
    for name, count, rate in [
        (PRETRAINING, 0 if pretrained else pretrain_epochs, pretrain_rate),
        *((f"phase {i + 1}", *both) for i, both in enumerate(zip(epochs, learning_rates))),
    ]:
        if count:
            offset = sum(phase.epochs for phase in phases)
            rates = {"generator": rate}
            if adversarial_weight and name != PRETRAINING:
                rates["discriminator"] = rate
            batches = functools.partial(_batches, opened, batch_size, seed, offset)
            phases.append(Phase(name, count, batches, opened.steps(batch_size), rates))
    options = {
        "records": str(Path(records).absolute()),
        "records_fingerprint": files.fingerprint(records),
        "validation": None if validation is None else str(Path(validation).absolute()),
        "network": network,
        "architecture": architecture,
        "content": content,
        "metric_fingerprints": {metric: files.fingerprint(metric) for metric in metrics},
        "layers": None if layers is None else list(layers),
        "adversarial_weight": adversarial_weight,
        "pretrain_epochs": pretrain_epochs,
        "pretrain_rate": pretrain_rate,
        "pretrained": None if pretrained is None else str(Path(pretrained).absolute()),
        "epochs": list(epochs),
        "learning_rates": list(learning_rates),
        "batch_size": batch_size,
        "average_decay": average_decay,
        "fields": {
            "channels": list(schema.channels),
            "units": list(schema.units),
            "patch": list(schema.patch),
            "scale": schema.scale,
            "pooling": schema.pooling or "unknown",
            "alignment": schema.alignment or "cell",
            "spacing": None if schema.spacing is None else list(schema.spacing),
            "normalization": schema.normalization.to_dict(),
        },
    }
    return train(
        build,
        phases,
        run=out,
        options=options,
        validation=None
        if held_out is None
        else functools.partial(_validation_batches, held_out, batch_size),
        monitor=SELECTIONS[select] if validation is not None else "loss",
        seed=seed,
        devices=devices,
        precision=precision,
        jit=jit,
        deterministic=deterministic,
        checkpoint_minutes=checkpoint_minutes,
        checkpoint_steps=checkpoint_steps,
        overwrite=overwrite,
    )


def _batches(
    records: Records, batch_size: int, seed: int, offset: int, epoch: int, skip: int,
    shard: tuple[int, int],
) -> Any:  # fmt: skip
    return records.dataset(batch_size, seed=seed, epoch=offset + epoch, skip=skip, shard=shard)


def _validation_batches(records: Records, batch_size: int, shard: tuple[int, int]) -> Any:
    size = min(batch_size, records.count)
    return records.dataset(size, shard=shard, drop_remainder=False)


def _open(
    path: str | os.PathLike, normalization: str | None, statistics: str | os.PathLike | None
) -> Records:
    opened = open_records(path, normalization=normalization, statistics=statistics)
    kind = opened.schema.kind
    if kind != "downscaling":
        raise InputError(f"{path} holds {kind} records: name downscaling records of phire-data.")
    return opened


def _check_alike(records: Records, validation: Records) -> None:
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
    """Whether the patches close the circle of longitude."""
    if schema.spacing is None:
        return False
    width = schema.patch[1] * schema.spacing[1]
    return abs(width - 360) < 0.5 * schema.spacing[1]


def _factors(scale: int, factors: Sequence[int] | None) -> tuple[int, ...]:
    if factors is None:
        found, rest, divisor = [], scale, 2
        while rest > 1:
            while rest % divisor == 0:
                found.append(divisor)
                rest //= divisor
            divisor += 1
        return tuple(found)
    if math.prod(factors) != scale:
        raise InputError(
            f"--factors {','.join(map(str, factors))} multiply to {math.prod(factors)}, but the "
            f"records have the scale {scale}."
        )
    return tuple(factors)


def _start_from(generator: Any, start: Any, path: str | os.PathLike) -> None:
    shapes = [[tuple(weight.shape) for weight in network.weights] for network in (generator, start)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"--pretrained {path} holds a generator of another architecture: give the same "
            "--network, --factors, --filters, --blocks and --upsampling."
        )
    generator.set_weights(start.get_weights())
