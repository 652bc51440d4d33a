"""Convolution and interpolation of coarse fields that exclude missing values.

The mask of present values is the array ``low_valid`` of a sample, (B, h, w, C): 1 for present
values of ``low`` and 0 for missing ones.

Keras has no such layers. ``tests/networks/blocks/test_partial_convolution.py`` checks both against
sums point by point.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from phire.networks.blocks.interpolation_layer import Interpolation

LEAST_SHARE = 0.25
"""Lower bound of the sum of weights of present values by which an interpolation is divided. The
sum of bilinear weights is larger; only the negative weights of bicubic interpolation can give less.
"""


def present(x: Any, valid: Any) -> Any:
    """Sets missing values to 0, also if they are NaN or infinite.

    Args:
        x: Fields, (B, h, w, C).
        valid: Mask of the first C' channels, (B, h, w, C'); the other channels are complete.
    """
    masked = valid.shape[-1]
    first = ops.where(valid > 0, x[..., :masked], ops.zeros_like(x[..., :masked]))
    return first if masked == x.shape[-1] else ops.concatenate([first, x[..., masked:]], axis=-1)


def partial_convolution(x: Any, valid: Any, kernel: Any) -> Any:
    """Convolves present values and divides by their fraction in each window, without a bias.

    The result is W · (x ⊙ m) · n / Σm, where m is the mask, Σm its sum over the window and n the
    sum for a complete field; it is 0 if nothing in the window is present (Liu et al. 2018, ECCV,
    doi:10.1007/978-3-030-01252-6_6, eq. 1). n does not count zero padding, so the result for a
    complete field is that of a plain convolution. Channels without a mask are convolved plainly and
    added.

    Args:
        x: Fields, (B, h, w, C).
        valid: Mask of the first C' channels, (B, h, w, C').
        kernel: Kernel, (k, k, C, filters).
    """
    masked = valid.shape[-1]
    x = present(x, valid)
    count = ops.ones((*kernel.shape[:2], masked, 1), x.dtype)
    mask = ops.cast(valid > 0, x.dtype)
    share = ops.conv(mask, count, padding="same")
    complete = ops.conv(ops.ones_like(mask), count, padding="same")
    ratio = complete / ops.maximum(share, 1)
    y = ops.conv(x[..., :masked], kernel[:, :, :masked], padding="same") * ratio
    if masked == x.shape[-1]:
        return y
    return y + ops.conv(x[..., masked:], kernel[:, :, masked:], padding="same")


@keras.saving.register_keras_serializable(package="phire")
class PartialConv2D(keras.layers.Conv2D):
    """Partial convolution layer for fields with missing values; see :func:`partial_convolution`.

    It has the weights of ``keras.layers.Conv2D``. The bias is added at all points.
    """

    def call(self, inputs: Any, valid: Any) -> Any:
        """Convolves fields (B, h, w, C), given the mask of the first channels, (B, h, w, C')."""
        y = partial_convolution(inputs, valid, ops.cast(self.kernel, inputs.dtype))
        return y + ops.cast(self.bias, y.dtype) if self.use_bias else y

    def build(self, inputs_shape: tuple, valid_shape: tuple | None = None) -> None:
        super().build(inputs_shape)

    def compute_output_shape(self, inputs_shape: tuple, valid_shape: tuple | None = None) -> tuple:
        return (*inputs_shape[:-1], self.filters)


@keras.saving.register_keras_serializable(package="phire")
class PartialInterpolation(Interpolation):
    """Interpolation of present values, divided by the sum of their weights.

    Fine points in a missing coarse cell are 0. For a complete field the result is that of a plain
    interpolation. The arguments are those of
    :class:`phire.networks.blocks.interpolation_layer.Interpolation`.
    """

    def call(self, inputs: Any, valid: Any) -> Any:
        """Interpolates fields, given their mask of the same shape, (B, h, w, C)."""
        mask = ops.cast(valid > 0, inputs.dtype)
        share = super().call(mask)
        y = super().call(present(inputs, valid)) / ops.maximum(share, LEAST_SHARE)
        return y * Interpolation(self.scale, "nearest")(mask)

    def compute_output_shape(self, inputs_shape: tuple, valid_shape: tuple) -> tuple:
        """Returns (B, h·s, w·s, C)."""
        return super().compute_output_shape(inputs_shape)
