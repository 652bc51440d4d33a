"""Discriminators: is a field real or generated (SRGAN as in PhIRE, Stengel et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from phire.errors import InputError
from phire.networks.blocks.sample_inputs import refuse_window
from phire.networks.fast_cpu import LeakyReLU, ManyInputDense
from phire.networks.registry import discriminator
from phire.networks.shapes import Shapes
from phire.networks.srgan_generator import SLOPE


@discriminator("srgan-small", filters=(16, 32, 64), dense=128)
@discriminator("srgan")
def srgan_discriminator(
    shapes: Shapes,
    masked: bool = False,
    *,
    filters: Sequence[int] = (32, 64, 128, 256),
    dense: int = 1024,
) -> keras.Model:
    """Builds the SRGAN discriminator without batch normalisation.

    For each width two 3×3 convolutions, the second of stride 2, each with leaky ReLU; then a dense
    layer with leaky ReLU and one logit.

    Args:
        shapes: Shapes of the sample; the fine patches' size must be known.
        masked: Take the mask ``valid`` beside the fields, as further channels.
        filters: Width of each pair of convolutions.
        dense: Width of the dense layer.

    Returns:
        A model named ``discriminator`` of the inputs ``fine`` (B, H, W, C) and, where masked,
        ``valid`` of the same shape; its output is (B, 1) logits, float32.

    Raises:
        InputError: The size of the patches is unknown, or they have a window.
    """
    refuse_window(shapes, "srgan's discriminator")
    if None in shapes.high:
        raise InputError("the discriminator needs patches of one size: sample with --patch.")
    names = ("fine", "valid") if masked else ("fine",)
    inputs = {name: keras.Input(shapes.high, name=name) for name in names}
    x = inputs["fine"]
    if masked:
        x = keras.layers.Concatenate()([x, inputs["valid"]])

    def activate(x: Any) -> Any:
        return LeakyReLU(negative_slope=SLOPE)(x)

    for width in filters:
        for stride in (1, 2):
            x = activate(keras.layers.Conv2D(width, 3, stride, padding="same")(x))
    x = keras.layers.Flatten()(x)
    x = activate(ManyInputDense(dense)(x))
    logits = keras.layers.Dense(1, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="discriminator")
