"""Decoders from feature maps to pixels, for AtmoDist's reconstruction tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from phire.networks.encoders import WEIGHT_DECAY, convolution, normalised, residual_block


def spatial_mixing(x: Any, weight_decay: float = WEIGHT_DECAY) -> Any:
    """Adds a dense layer across all positions of a feature map, shared by all features.

    At the bottleneck it makes every output position depend on every input position.
    """
    height, width, features = x.shape[1:]
    y = keras.layers.Reshape((height * width, features))(x)
    y = keras.layers.Permute((2, 1))(y)
    y = keras.layers.Dense(
        height * width,
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(weight_decay) if weight_decay else None,
        name="spatial_mixing",
    )(y)
    y = keras.layers.Permute((2, 1))(y)
    return keras.layers.Reshape((height, width, features))(y)


def residual_decoder(
    feature_shape: Sequence[int],
    output_shape: Sequence[int],
    *,
    filters: Sequence[int] = (16, 32, 64, 128),
    blocks: Sequence[int] = (6, 6, 6, 6),
    weight_decay: float = WEIGHT_DECAY,
) -> keras.Model:
    """Builds the mirror image of the residual encoder, with bilinear upsampling.

    The stages double the size of the map until it is that of the output; further stages of the last
    width are added if needed. Source: Hoffmann & Lessig 2023, doi:10.1017/eds.2023.1.

    Args:
        feature_shape: Shape of the encoder's output, (h, w, F).
        output_shape: Shape of the pixels, (H, W, C), not smaller than (h, w).
        filters, blocks: Filters and residual blocks of the encoder's stages, first stage first;
            the decoder uses them in reverse order.
        weight_decay: L2 factor of all kernels.

    Returns:
        A model named ``decoder``.
    """
    inputs = keras.Input(tuple(feature_shape), name="features")
    x = spatial_mixing(inputs, weight_decay)
    height, width = feature_shape[:2]
    rows, columns = output_shape[:2]
    stages = list(zip(filters, blocks))[::-1]
    while stages or (height, width) != (rows, columns):
        width_of_stage, count = stages.pop(0) if stages else (filters[0], 1)
        for _ in range(count):
            x = residual_block(x, width_of_stage, 1, weight_decay)
        if (height, width) != (rows, columns):
            # keras.layers.Resizing would switch later layers to training mode if `training` is
            # not given.
            x = keras.layers.UpSampling2D(2, interpolation="bilinear")(x)
            surplus = max(2 * height - rows, 0), max(2 * width - columns, 0)
            height, width = 2 * height - surplus[0], 2 * width - surplus[1]
            if any(surplus):
                x = keras.layers.Cropping2D([(n // 2, n - n // 2) for n in surplus])(x)
    x = normalised(convolution(x, filters[0], 3, weight_decay=weight_decay))
    pixels = keras.layers.Conv2D(
        output_shape[2], 3, padding="same", dtype="float32", name="pixels"
    )(x)
    return keras.Model(inputs, pixels, name="decoder")


def reconstruction_network(
    encoder: keras.Model,
    output_shape: Sequence[int],
    *,
    name: str,
    filters: Sequence[int],
    blocks: Sequence[int],
) -> keras.Model:
    """Builds a network of an encoder and a decoder.

    Args:
        encoder: Encoder of a patch (H, W, C) of fixed size.
        output_shape: Shape of the reconstruction, (H, W, C).
        name: Name of the network.
        filters, blocks: Filters and residual blocks of the encoder's stages.

    Returns:
        A model from ``patch`` to pixels, with the layers ``encoder`` and ``decoder``.
    """
    patch = keras.Input(encoder.input_shape[1:], name="patch")
    decoder = residual_decoder(
        encoder.output_shape[1:], output_shape, filters=filters, blocks=blocks
    )
    return keras.Model(patch, decoder(encoder(patch)), name=name)
