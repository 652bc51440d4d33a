"""Convolution, residual, dense and ConvNeXt blocks, with notes on how those of DL4DS differ.

All blocks act on features (B, H, W, C); with a time window, on frames (B·T, H, W, C).
"""

from __future__ import annotations

import math
from typing import Any

import keras

from phire.networks.blocks.dropout import MONTE_CARLO, dropout
from phire.networks.blocks.partial_convolution import PartialConv2D
from phire.networks.dl4ds.block_options import Style
from phire.networks.dl4ds.window_reshaping import BatchToTime, TimeToBatch
from phire.networks.fast_cpu import BatchNormalization


def activated(x: Any, activation: str) -> Any:
    """Adds an activation by its name in Keras."""
    return x if activation == "linear" else keras.layers.Activation(activation)(x)


def convolution(x: Any, filters: int, kernel: int, style: Style, bias: bool = True) -> Any:
    """Adds a convolution with "same" padding.

    It is a partial convolution if the style has a mask of valid values, and otherwise depthwise
    separable if the style says so.
    """
    if style.valid is not None:
        return PartialConv2D(filters, kernel, padding="same", use_bias=bias)(x, style.valid)
    separable = style.separable and kernel > 1
    layer = keras.layers.SeparableConv2D if separable else keras.layers.Conv2D
    return layer(filters, kernel, padding="same", use_bias=bias)(x)


def normalised(x: Any, style: Style, epsilon: float = 1e-3) -> Any:
    """Adds the style's normalization: batch, layer (over channels) or group normalization.

    Layer normalization of a single channel would give a constant, as it does in DL4DS. For a single
    channel only its scale and shift are therefore applied, with the same number of weights.
    """
    if style.normalization == "batch":
        return BatchNormalization(epsilon=epsilon)(x)
    if style.normalization == "layer" and x.shape[-1] == 1:
        return keras.layers.Dense(1, kernel_initializer="ones", name=_unique("scale_shift"))(x)
    if style.normalization == "layer":
        return keras.layers.LayerNormalization(epsilon=epsilon)(x)
    if style.normalization == "group":
        groups = math.gcd(x.shape[-1], 8)
        return keras.layers.GroupNormalization(groups, epsilon=epsilon)(x)
    return x


def _unique(name: str) -> str:
    """Returns a layer name with a number that is unique in Keras's session."""
    return f"{name}_{keras.backend.get_uid(name)}"


def dropped(x: Any, style: Style) -> Any:
    """Adds the style's dropout to (B, H, W, C), (B·T, H, W, C) or (B, T, H, W, C)."""
    if not style.dropout:
        return x
    # Seeds of Monte Carlo dropout belong to samples, so frames are regrouped to samples first.
    frames = style.window is not None and len(x.shape) == 4 and style.dropout_kind in MONTE_CARLO
    x = BatchToTime(style.window)(x) if frames else x
    x = dropout(
        x, style.dropout, style.dropout_kind, style.inputs, step=style.step, margin=style.margin,
        name=f"dropout_{next(style.numbers)}",
    )  # fmt: skip
    return TimeToBatch()(x) if frames else x


def channel_attention(x: Any, style: Style) -> Any:
    """Adds channel attention: multiplies channels by weights from their means over the field.

    The weights are dense layers of the means, the first to a quarter of the channels with ReLU, the
    second with sigmoid (channel attention of CBAM with mean pooling, Woo et al. 2018,
    arXiv:1807.06521). In DL4DS's preset, means of time windows are taken over time and latitude
    only, so the weights depend on longitude.
    """
    channels = x.shape[-1]
    over_time_and_latitude = style.reference and style.window is not None
    if over_time_and_latitude:
        x = BatchToTime(style.window)(x)
        mean = keras.ops.mean(x, axis=(1, 2), keepdims=True)
    else:
        mean = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = keras.layers.Dense(max(1, channels // 4), "relu")(mean)
    weights = keras.layers.Dense(channels, "sigmoid")(weights)
    x = keras.layers.Multiply()([x, weights])
    return TimeToBatch()(x) if over_time_and_latitude else x


def attended(x: Any, style: Style) -> Any:
    """Adds channel attention if the style has it."""
    return channel_attention(x, style) if style.attention else x


def convolution_block(
    x: Any, filters: int, style: Style, kernel: int = 3, activation: str | None = None
) -> Any:
    """Adds DL4DS's ConvBlock: two convolutions, then optional attention.

    Each convolution has optional dropout before it, and optional normalization and an activation
    after it. Convolutions have a bias only without normalization.
    """
    return attended(_two_convolutions(x, filters, style, kernel, activation, last=True), style)


def residual_block(x: Any, filters: int, style: Style) -> Any:
    """Adds DL4DS's ResidualBlock: two convolutions, optional attention, skip and activation.

    The second convolution has no activation before the skip. If the width changes, the skip has a
    1×1 convolution. Without normalization the block is that of EDSR (Lim et al. 2017,
    arXiv:1707.02921).
    """
    y = attended(_two_convolutions(x, filters, style, 3, None, last=False), style)
    if x.shape[-1] != filters:
        x = keras.layers.Conv2D(filters, 1)(x)
    return activated(keras.layers.Add()([y, x]), style.activation)


def _two_convolutions(
    x: Any, filters: int, style: Style, kernel: int, activation: str | None, last: bool
) -> Any:
    """Adds two convolutions with dropout, normalization and activation.

    Args:
        x: Features.
        filters, kernel: Width and size of the convolutions.
        style: Options of the network.
        activation: Activation; None for that of the style.
        last: True for an activation after the second convolution.
    """
    activation = activation or style.activation
    bias = style.normalization == "none"
    for number in range(2):
        x = normalised(convolution(dropped(x, style), filters, kernel, style, bias), style)
        if number == 0 or last:
            x = activated(x, activation)
        style = style.but(valid=None)
    return x


def dense_block(x: Any, filters: int, style: Style) -> Any:
    """Adds a dense block, which concatenates ``filters`` new channels to its input.

    A 1×1 convolution to 4·filters channels and a 3×3 convolution to ``filters`` channels, each
    after normalization, activation and dropout, compute the new channels (DenseNet-B, Huang et al.
    2017, arXiv:1608.06993); optional attention follows. DL4DS does not use the result of the first
    normalization, activation and dropout, so its preset keeps only the weights.
    """
    if style.reference:
        y = UnusedNormalization(style.normalization)(x) if style.normalization != "none" else x
    else:
        y = dropped(activated(normalised(x, style), style.activation), style)
    y = keras.layers.Conv2D(4 * filters, 1)(y)
    y = dropped(activated(normalised(y, style), style.activation), style)
    y = attended(convolution(y, filters, 3, style), style)
    return keras.layers.Concatenate()([y, x])


def transition(x: Any, filters: int, activation: str = "relu") -> Any:
    """Adds DL4DS's TransitionBlock: a 1×1 convolution to ``filters`` channels and an activation."""
    return activated(keras.layers.Conv2D(filters, 1)(x), activation)


def convnext_block(x: Any, filters: int, style: Style) -> Any:
    """Adds a ConvNeXt block without layer scale (Liu et al. 2022, arXiv:2201.03545).

    Its layers are a depthwise 7×7 convolution, normalization, a dense layer to 4·filters channels,
    activation, dropout, a dense layer to ``filters`` channels, attention and the skip. DL4DS's
    block ignores dropout and attention, and so does its preset.
    """
    if style.reference:
        style = style.but(dropout=0.0, attention=False)
    y = keras.layers.DepthwiseConv2D(7, padding="same")(x)
    y = normalised(y, style, epsilon=1e-6 if style.normalization == "layer" else 1e-3)
    y = dropped(activated(keras.layers.Dense(4 * filters)(y), style.activation), style)
    y = attended(keras.layers.Dense(filters)(y), style)
    if x.shape[-1] != filters:
        x = keras.layers.Conv2D(filters, 1)(x)
    return keras.layers.Add()([y, x])


@keras.saving.register_keras_serializable(package="phire")
class UnusedNormalization(keras.layers.Layer):
    """Identity layer with the weights of a normalization, as DL4DS's dense blocks have them.

    The weights get gradients of zero, because optimizers refuse missing gradients.

    Args:
        normalization: ``batch``, with two trainable and two other weights per channel; ``layer`` or
            ``group``, with two trainable weights per channel.
    """

    def __init__(self, normalization: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalization = normalization

    def build(self, input_shape: tuple) -> None:
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(shape, "ones", name="gamma")
        self.beta = self.add_weight(shape, "zeros", name="beta")
        if self.normalization == "batch":
            self.moving_mean = self.add_weight(shape, "zeros", trainable=False, name="moving_mean")
            self.moving_variance = self.add_weight(
                shape, "ones", trainable=False, name="moving_variance"
            )

    def call(self, inputs: Any) -> Any:
        """Returns a tensor (…, C) unchanged."""
        nothing = 0 * (keras.ops.sum(self.gamma) + keras.ops.sum(self.beta))
        return inputs + keras.ops.cast(nothing, inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "normalization": self.normalization}
