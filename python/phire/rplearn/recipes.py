"""Default training recipes of the networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras

from phire.errors import InputError
from phire.training import Adam, for_float16

CLIP_NORM = 5.0
"""Largest norm of each variable's gradient, unless told otherwise."""
LEARNING_RATES = {"sgd": 0.1, "adam": 1e-3}
"""Default learning rate of each optimizer."""


@dataclass(frozen=True)
class Recipe:
    """Defaults of training; these are the paper's (Hoffmann and Lessig 2023).

    The learning rate is that of the optimizer (:data:`LEARNING_RATES`).

    Attributes:
        optimizer: ``sgd`` (momentum 0.9) or ``adam``.
        batch_size: Pairs a batch.
        warm_up_epochs: Epochs on the first ``warm_up_batches`` batches, always the same ones; the
            authors found that without these learning does not start.
        warm_up_batches: Their number.
        epochs: Epochs on everything, after the warm-up.
        cool_down_epochs: Epochs at a tenth of the learning rate at the end, where training is too
            short for the rate to fall by itself.
        validate_every: Epochs between validations.
    """

    optimizer: str = "sgd"
    batch_size: int = 128
    warm_up_epochs: int = 20
    warm_up_batches: int = 2000
    epochs: int = 60
    cool_down_epochs: int = 0
    validate_every: int = 3


# What a laptop trains in minutes. Adam has it learn from the start, without a warm-up; gradient
# descent at 0.1 stands still for most of an epoch first (docs/results/learned-distance.md).
RECIPES: Mapping[str, Recipe] = {
    "tiny": Recipe(
        optimizer="adam", warm_up_epochs=0, epochs=3, cool_down_epochs=2, validate_every=1,
        batch_size=64,
    ),
}  # fmt: skip


def recipe_of(network: str) -> Recipe:
    """Returns the recipe of an encoder, by its name."""
    return RECIPES.get(network, Recipe())


def build_optimizer(name: str, learning_rate: float) -> keras.optimizers.Optimizer:
    """Returns a new optimizer.

    Raises:
        InputError: The name is unknown.
    """
    if name == "sgd":
        made = keras.optimizers.SGD(learning_rate, momentum=0.9)
    elif name == "adam":
        made = Adam(learning_rate)
    else:
        raise InputError(f"--optimizer {name}: choose one of {', '.join(LEARNING_RATES)}.")
    return for_float16(made)
