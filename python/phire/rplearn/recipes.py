"""Default training recipe of each encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras

from phire.errors import InputError
from phire.training import Adam, for_float16

CLIP_NORM = 5.0
"""Default clipping: largest norm of the gradient of each variable."""
LEARNING_RATES = {"sgd": 0.1, "adam": 1e-3}
"""Default learning rate of each optimizer."""


@dataclass(frozen=True)
class Recipe:
    """Training options; the defaults are those of Hoffmann and Lessig (2023).

    The learning rate depends on the optimizer (:data:`LEARNING_RATES`).

    Attributes:
        optimizer: ``sgd`` (momentum 0.9) or ``adam``.
        batch_size: Number of pairs in a batch.
        warm_up_epochs: Epochs on the first ``warm_up_batches`` batches only; the authors found
            that training fails to start without them.
        warm_up_batches: Number of batches of the warm-up.
        epochs: Epochs on all data, after the warm-up.
        cool_down_epochs: Epochs at a tenth of the learning rate at the end, for trainings that are
            too short for the plateau schedule to lower the rate.
        validate_every: Number of epochs between validations.
    """

    optimizer: str = "sgd"
    batch_size: int = 128
    warm_up_epochs: int = 20
    warm_up_batches: int = 2000
    epochs: int = 60
    cool_down_epochs: int = 0
    validate_every: int = 3


# `tiny` trains in minutes on a laptop. With Adam it learns without a warm-up, whereas SGD with a
# rate of 0.1 makes no progress in most of the first epoch (docs/results/learned-distance.md).
RECIPES: Mapping[str, Recipe] = {
    "tiny": Recipe(
        optimizer="adam", warm_up_epochs=0, epochs=3, cool_down_epochs=2, validate_every=1,
        batch_size=64,
    ),
}  # fmt: skip


def recipe_of(network: str) -> Recipe:
    """Returns the recipe of the encoder of the given name."""
    return RECIPES.get(network, Recipe())


def build_optimizer(name: str, learning_rate: float) -> keras.optimizers.Optimizer:
    """Builds an optimizer by name.

    Raises:
        InputError: The name is unknown.
    """
    if name == "sgd":
        optimizer = keras.optimizers.SGD(learning_rate, momentum=0.9)
    elif name == "adam":
        optimizer = Adam(learning_rate)
    else:
        raise InputError(f"--optimizer {name}: choose one of {', '.join(LEARNING_RATES)}.")
    return for_float16(optimizer)
