"""CGAN objective: content loss and a discriminator conditioned on the coarse field (DL4DS)."""

from __future__ import annotations

from typing import Any

from phire.downscaling.generator_task import Task
from phire.downscaling.objectives.srgan import SuperResolution
from phire.downscaling.objectives.supervised import content_arguments
from phire.errors import InputError
from phire.networks import discriminator as discriminators
from phire.part_registry import Specification, options_of
from phire.training.registry import objective


@objective("cgan", content="mae", pretrain_rate=2e-4)
@options_of(content_arguments)
def cgan_objective(
    task: Task,
    *,
    weight: float = 100.0,
    discriminator: Specification = "residual",
    discriminator_rate: float = 1.0,
    beta_1: float = 0.5,
    **options: Any,
) -> SuperResolution:
    """Trains a generator against a discriminator of pairs (coarse field, fine field).

    The generator's loss is the cross-entropy of D(low, generated) with 1, plus weight · content.
    The discriminator's loss is the sum of the cross-entropies of D(low, truth) with 1 and of
    D(low, generated) with 0. Each step updates both networks once. DL4DS trains at the learning
    rate 2e-4. Source: Isola et al. 2017 (pix2pix), arXiv:1611.07004.

    Args:
        task: Network and records.
        weight: Weight of the content loss.
        discriminator: Name of a discriminator that reads ``low``, or a mapping with its options.
        discriminator_rate: Learning rate of the discriminator, relative to the generator's.
        beta_1: Adam's decay of the first moment, for both networks.
        **options: See :func:`phire.downscaling.objectives.supervised.content_arguments`.

    Raises:
        InputError: An option is out of range or does not fit the records, or the discriminator does
            not read ``low``.
    """
    if not (weight >= 0 and discriminator_rate > 0 and 0 <= beta_1 < 1):
        raise InputError(
            f"objective cgan: weight={weight:g} must not be negative, "
            f"discriminator_rate={discriminator_rate:g} must be positive, and beta_1={beta_1:g} "
            "must lie between 0 and 1."
        )
    judge = discriminators.build(discriminator, task.shapes, task.masked)
    if "low" not in judge.input:
        name, _ = discriminators.resolve(discriminator)
        raise InputError(
            f"objective cgan needs a discriminator that reads the coarse field, but {name} does "
            "not: choose discriminator=residual, or the objective srgan."
        )
    return SuperResolution(
        task.build_network(),
        judge,
        adversarial_weight=1.0,
        content_weight=weight,
        discriminator_weight=1.0,
        balanced=False,
        beta_1=beta_1,
        **content_arguments(task, **options),
    )
