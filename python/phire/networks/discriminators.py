"""Discriminators: is a field real or generated (SRGAN as in PhIRE, Stengel et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from phire.networks.generators import SLOPE
from phire.networks.layers import LeakyReLU, ManyInputDense


def srgan_discriminator(
    input_shape: Sequence[int],
    *,
    filters: Sequence[int] = (32, 64, 128, 256),
    dense: int = 1024,
) -> keras.Model:
    """The SRGAN discriminator without batch normalisation.

    For each width two 3×3 convolutions, the second of stride 2, each with leaky ReLU; then a dense
    layer with leaky ReLU and one logit.

    Args:
        input_shape: (H, W, C) of the fine patches.
        filters: Width of each pair of convolutions.
        dense: Width of the dense layer.

    Returns:
        A model named ``discriminator``: (B, H, W, C) → (B, 1) logits, float32.
    """

    def activate(x: Any) -> Any:
        return LeakyReLU(negative_slope=SLOPE)(x)

    inputs = x = keras.Input(tuple(input_shape), name="fine")
    for width in filters:
        for stride in (1, 2):
            x = activate(keras.layers.Conv2D(width, 3, stride, padding="same")(x))
    x = keras.layers.Flatten()(x)
    x = activate(ManyInputDense(dense)(x))
    logits = keras.layers.Dense(1, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="discriminator")


PRESETS: dict[str, dict[str, Any]] = {
    "srgan": {},
    "srgan-small": {"filters": (16, 32, 64), "dense": 128},
}
"""Arguments of the discriminator that goes with each generator."""
