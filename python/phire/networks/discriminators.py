"""SRGAN's discriminator of true and generated fields, as in PhIRE.

Sources: Ledig et al. 2017, arXiv:1609.04802; Stengel et al. 2020, doi:10.1073/pnas.1918964117.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from phire.errors import InputError
from phire.networks.blocks.sample_inputs import refuse_window
from phire.networks.fast_cpu import LeakyReLU
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
    """Builds the SRGAN discriminator without batch normalization.

    Each width has two 3×3 convolutions with leaky ReLU, the second of stride 2. They are followed
    by a dense layer with leaky ReLU and a dense layer to one logit.

    Args:
        shapes: Shapes of a sample; the size of the fine patches must be known.
        masked: Read the mask ``valid`` as further channels.
        filters: Width of each pair of convolutions.
        dense: Width of the dense layer.

    Returns:
        A model named ``discriminator`` with the input ``fine`` (B, H, W, C) and, if masked,
        ``valid`` of the same shape. Its outputs are logits (B, 1), float32.

    Raises:
        InputError: The size of the patches is unknown, or the records have a time window.
    """
    refuse_window(shapes, "srgan's discriminator")
    if None in shapes.high:
        raise InputError("the discriminator needs patches of fixed size: sample with --patch.")
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
    # The name lets a warm start find the weights of discriminators saved by earlier versions.
    x = activate(keras.layers.Dense(dense, name="many_input_dense")(x))
    logits = keras.layers.Dense(1, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="discriminator")
