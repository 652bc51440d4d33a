"""Convolution, residual, dense and ConvNeXt blocks; facts of DL4DS's in their docstrings.

Every block takes and gives features (B, H, W, C), with windows (B·T, H, W, C).
"""

from __future__ import annotations

import math
from typing import Any

import keras

from phire.networks.blocks.dropout import MONTE_CARLO, dropout
from phire.networks.blocks.partial_convolution import PartialConv2D
from phire.networks.dl4ds.block_options import Style
from phire.networks.dl4ds.time_axis import BatchToTime, TimeToBatch
from phire.networks.fast_cpu import BatchNormalization


def activated(x: Any, activation: str) -> Any:
    """Applies an activation by its name in Keras."""
    return x if activation == "linear" else keras.layers.Activation(activation)(x)


def convolution(x: Any, filters: int, kernel: int, style: Style, bias: bool = True) -> Any:
    """Convolves within a block, padded to the same size; separable where the style says so.

    With the style's validity it is a partial convolution, which is not separable.
    """
    if style.valid is not None:
        return PartialConv2D(filters, kernel, padding="same", use_bias=bias)(x, style.valid)
    separable = style.separable and kernel > 1
    layer = keras.layers.SeparableConv2D if separable else keras.layers.Conv2D
    return layer(filters, kernel, padding="same", use_bias=bias)(x)


def normalised(x: Any, style: Style, epsilon: float = 1e-3) -> Any:
    """Normalises by the style: over the batch, over channels, or over groups of channels.

    Layer normalization of a single channel would give a constant (in DL4DS it does); there only
    its scale and shift are applied, which are as many weights.
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
    return f"{name}_{keras.backend.get_uid(name)}"


def dropped(x: Any, style: Style) -> Any:
    """Applies the style's dropout to (B, H, W, C), (B·T, H, W, C) or (B, T, H, W, C)."""
    if not style.dropout:
        return x
    # Monte Carlo masks have the random integers of a sample, not of a frame.
    frames = style.window is not None and len(x.shape) == 4 and style.dropout_kind in MONTE_CARLO
    x = BatchToTime(style.window)(x) if frames else x
    x = dropout(
        x, style.dropout, style.dropout_kind, style.inputs, step=style.step, margin=style.margin,
        name=f"dropout_{next(style.numbers)}",
    )  # fmt: skip
    return TimeToBatch()(x) if frames else x


def channel_attention(x: Any, style: Style) -> Any:
    """Multiplies every channel by a weight from the means of all channels over the field.

    Means → dense to a quarter of the channels → relu → dense → sigmoid (CBAM's channel attention
    with mean pooling, Woo et al. 2018, arXiv:1807.06521). DL4DS's own averages a window over time
    and latitude, so that weights depend on longitude.
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
    """Applies channel attention where the style has it."""
    return channel_attention(x, style) if style.attention else x


def convolution_block(
    x: Any, filters: int, style: Style, kernel: int = 3, activation: str | None = None
) -> Any:
    """Twice [dropout] – convolution – [normalization] – activation, then [attention].

    DL4DS's ConvBlock. Convolutions have a bias only without normalization.
    """
    return attended(_two_convolutions(x, filters, style, kernel, activation, last=True), style)


def residual_block(x: Any, filters: int, style: Style) -> Any:
    """Convolution block without its last activation – [attention] – plus input – activation.

    DL4DS's ResidualBlock; without normalization as in EDSR (Lim et al. 2017, arXiv:1707.02921).
    The input goes through a 1×1 convolution where the width changes.
    """
    y = attended(_two_convolutions(x, filters, style, 3, None, last=False), style)
    if x.shape[-1] != filters:
        x = keras.layers.Conv2D(filters, 1)(x)
    return activated(keras.layers.Add()([y, x]), style.activation)


def _two_convolutions(
    x: Any, filters: int, style: Style, kernel: int, activation: str | None, last: bool
) -> Any:
    activation = activation or style.activation
    bias = style.normalization == "none"
    for number in range(2):
        x = normalised(convolution(dropped(x, style), filters, kernel, style, bias), style)
        if number == 0 or last:
            x = activated(x, activation)
        style = style.but(valid=None)
    return x


def dense_block(x: Any, filters: int, style: Style) -> Any:
    """Adds channels to the input: 1×1 to four times as many – 3×3 – [attention] – joined.

    Before the 1×1 convolution come normalization, activation and dropout (DenseNet-B, Huang et al.
    2017, arXiv:1608.06993). DL4DS computes these and throws them away: its weights remain.
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
    """Changes the number of channels by a 1×1 convolution, then activates (TransitionBlock)."""
    return activated(keras.layers.Conv2D(filters, 1)(x), activation)


def convnext_block(x: Any, filters: int, style: Style) -> Any:
    """Depthwise 7×7 – normalization – dense to 4·filters – activation – dense – plus input.

    ConvNeXt (Liu et al. 2022, arXiv:2201.03545) without layer scale. DL4DS's block ignores dropout
    and attention; here dropout follows the activation and attention the second dense layer.
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
    """Holds the weights of a normalization and returns its input.

    DL4DS's dense blocks have them. Their gradients are zero rather than missing, which optimizers
    would refuse.

    Args:
        normalization: ``batch`` (two trainable weights a channel and two that are not), ``layer``
            or ``group`` (two trainable ones).
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
        """Returns a tensor (…, C) as it is."""
        nothing = 0 * (keras.ops.sum(self.gamma) + keras.ops.sum(self.beta))
        return inputs + keras.ops.cast(nothing, inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "normalization": self.normalization}
