"""Head that classifies the time lag of two patches from their features."""

from __future__ import annotations

import keras

from phire.networks.encoders import convolution, normalised


def temporal_distance_network(
    encoder: keras.Model, classes: int, *, head_filters: int = 128
) -> keras.Model:
    """AtmoDist's siamese network: two patches in, one logit a lag out.

    Both patches go through the same encoder; the two maps are concatenated, go through two 3×3
    convolutions (the first of stride 2) and one dense layer without bias. With "resnet-small",
    160×160×2 and 23 classes it has 2,747,856 parameters.

    Args:
        encoder: A model of one patch (H, W, C) of fixed size.
        classes: Number of lags.
        head_filters: Filters of the two convolutions.

    Returns:
        A model named ``temporal_distance``: [first, second] → (B, classes) logits, float32.
    """
    first = keras.Input(encoder.input_shape[1:], name="first")
    second = keras.Input(encoder.input_shape[1:], name="second")
    x = keras.layers.Concatenate()([encoder(first), encoder(second)])
    x = normalised(convolution(x, head_filters, 3, 2, bias=True))
    x = normalised(convolution(x, head_filters, 3, bias=True))
    x = keras.layers.Flatten()(x)
    logits = keras.layers.Dense(
        classes,
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(1e-4),
        dtype="float32",  # the cross-entropy needs the range
        name="logits",
    )(x)
    return keras.Model([first, second], logits, name="temporal_distance")
