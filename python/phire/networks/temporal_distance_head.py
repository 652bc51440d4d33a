"""AtmoDist's network, which classifies the time lag between two patches."""

from __future__ import annotations

import keras

from phire.networks.encoders import convolution, normalised


def temporal_distance_network(
    encoder: keras.Model, classes: int, *, head_filters: int = 128
) -> keras.Model:
    """Builds AtmoDist's siamese network, from two patches to one logit per time lag.

    Both patches pass the same encoder. The two feature maps are concatenated and pass two 3×3
    convolutions, the first of stride 2, and a dense layer without bias. With the encoder
    ``resnet-small``, patches of 160×160×2 and 23 classes it has 2,747,856 parameters. Source:
    Hoffmann & Lessig 2023, doi:10.1017/eds.2023.1.

    Args:
        encoder: Encoder of a patch (H, W, C) of fixed size.
        classes: Number of time lags.
        head_filters: Filters of the two convolutions.

    Returns:
        A model named ``temporal_distance`` from [first, second] to logits (B, classes), float32.
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
        dtype="float32",  # 16 bits have too little range or precision for the cross-entropy
        name="logits",
    )(x)
    return keras.Model([first, second], logits, name="temporal_distance")
