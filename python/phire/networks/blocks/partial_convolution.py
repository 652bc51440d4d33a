"""Convolution and interpolation of coarse fields with missing values, which never enter.

Validity is an array (B, h, w, C), 1 where a value of ``low`` is present and 0 where it is missing:
``low_valid`` of a sample.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from phire.networks.blocks.interpolation_layer import Interpolation

LEAST_SHARE = 0.25
"""Least share of valid weights that an interpolation divides by; bilinear ones of a valid point
have more, only negative weights of bicubic ones can have less."""


def present(x: Any, valid: Any) -> Any:
    """Sets missing values to 0, whatever they hold: NaN and infinity, too.

    Args:
        x: (B, h, w, C).
        valid: (B, h, w, C') validity of the first C' channels; the others are always present.
    """
    masked = valid.shape[-1]
    first = ops.where(valid > 0, x[..., :masked], ops.zeros_like(x[..., :masked]))
    return first if masked == x.shape[-1] else ops.concatenate([first, x[..., masked:]], axis=-1)


def partial_convolution(x: Any, valid: Any, kernel: Any) -> Any:
    """Convolves present values and divides by their share in each window, without a bias.

    W · (x ⊙ m) · n / Σm, with m the validity, Σm its sum over the window and n the same sum of a
    complete field; 0 where nothing in the window is present (Liu et al. 2018, ECCV,
    doi:10.1007/978-3-030-01252-6_6, eq. 1). n counts points of the field, not of its zero padding,
    so that a complete field gives the plain convolution. Channels beyond those of ``valid`` are
    convolved plainly and added.

    Args:
        x: (B, h, w, C).
        valid: (B, h, w, C') validity of the first C' channels.
        kernel: (k, k, C, filters).
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
    """Convolution of fields with missing values; see :func:`partial_convolution`.

    The weights are those of ``keras.layers.Conv2D``. The bias is added everywhere.
    """

    def call(self, inputs: Any, valid: Any) -> Any:
        """Convolves (B, h, w, C) of which the first channels have the validity (B, h, w, C')."""
        y = partial_convolution(inputs, valid, ops.cast(self.kernel, inputs.dtype))
        return y + ops.cast(self.bias, y.dtype) if self.use_bias else y

    def build(self, inputs_shape: tuple, valid_shape: tuple | None = None) -> None:
        super().build(inputs_shape)

    def compute_output_shape(self, inputs_shape: tuple, valid_shape: tuple | None = None) -> tuple:
        return (*inputs_shape[:-1], self.filters)


@keras.saving.register_keras_serializable(package="phire")
class PartialInterpolation(Interpolation):
    """Interpolates present values and divides by the share of their weights.

    Fine points of a coarse one that is missing are 0; elsewhere a complete field gives the plain
    interpolation. The arguments are those of
    :class:`phire.networks.blocks.interpolation_layer.Interpolation`.
    """

    def call(self, inputs: Any, valid: Any) -> Any:
        """Interpolates (B, h, w, C) with the validity (B, h, w, C)."""
        mask = ops.cast(valid > 0, inputs.dtype)
        share = super().call(mask)
        y = super().call(present(inputs, valid)) / ops.maximum(share, LEAST_SHARE)
        return y * Interpolation(self.scale, "nearest")(mask)

    def compute_output_shape(self, inputs_shape: tuple, valid_shape: tuple) -> tuple:
        """Returns (B, h·s, w·s, C)."""
        return super().compute_output_shape(inputs_shape)
