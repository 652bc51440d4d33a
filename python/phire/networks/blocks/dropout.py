"""Dropout in training, and Monte Carlo dropout with masks that are fixed to the domain's points.

Keras's dropout draws other masks in every call, so that neighbouring patches would not fit
together. ``tests/networks/blocks/test_dropout.py`` checks the moments of the masks, and masks of a
part against those of the whole domain.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from phire.errors import OptionError

TRAINING = ("vanilla", "gaussian", "spatial")
"""Kinds of dropout that act in training only."""
MONTE_CARLO = {"mcdrop": "vanilla", "mcgaussiandrop": "gaussian", "mcspatialdrop": "spatial"}
"""Kinds that also act in prediction, where each seed gives another ensemble member; the names are
DL4DS's."""
KINDS = (*TRAINING, *MONTE_CARLO)
"""All kinds of dropout."""


def check_dropout(rate: float, kind: str) -> None:
    """Checks rate and kind of dropout.

    Raises:
        InputError: ``kind`` is unknown, or ``rate`` is not in [0, 1).
    """
    if kind not in KINDS:
        raise OptionError(f"dropout_kind {kind!r} is unknown: choose one of {', '.join(KINDS)}.")
    if isinstance(rate, bool) or not 0 <= rate < 1:
        raise OptionError(f"dropout {rate} must be a fraction in [0, 1).")


def dropout_inputs(rate: float, kind: str) -> dict[str, Any]:
    """Returns the Keras inputs of Monte Carlo dropout by name; an empty dictionary for other kinds.

    The input ``seed`` (B, 2) holds two random integers of an ensemble member; ``position`` (B, 2)
    is row and column of the patch's first fine point in the domain.
    """
    check_dropout(rate, kind)
    if not rate or kind in TRAINING:
        return {}
    return {name: keras.Input((2,), name=name, dtype="int32") for name in ("seed", "position")}


def dropout(
    x: Any,
    rate: float,
    kind: str,
    inputs: Mapping[str, Any] | None = None,
    *,
    step: int = 1,
    margin: int = 0,
    name: str | None = None,
) -> Any:
    """Applies dropout to features; a rate of 0 returns them unchanged.

    Args:
        x: Features, (B, H, W, C) or (B, T, H, W, C).
        rate: Fraction of values (of channels, for spatial kinds) that are set to 0. Gaussian kinds
            multiply features by normal numbers of mean 1 and variance rate / (1 − rate).
        kind: One of :data:`KINDS`.
        inputs: Inputs of the network, with those of :func:`dropout_inputs`; needed only for Monte
            Carlo kinds.
        step: Fine points per point of ``x``, along each axis.
        margin: Points of ``x`` before the patch's first point.
        name: Name of the layer. Monte Carlo masks of layers with different names are independent.

    Raises:
        InputError: As for :func:`check_dropout`.
    """
    check_dropout(rate, kind)
    if not rate:
        return x
    if kind in MONTE_CARLO:
        layer = MonteCarloDropout(rate, MONTE_CARLO[kind], step=step, margin=margin, name=name)
        return layer(x, inputs["seed"], inputs["position"])
    spatial = keras.layers.SpatialDropout3D if len(x.shape) == 5 else keras.layers.SpatialDropout2D
    layers = dict(zip(TRAINING, (keras.layers.Dropout, keras.layers.GaussianDropout, spatial)))
    return layers[kind](rate, name=name)(x)


@keras.saving.register_keras_serializable(package="phire")
class MonteCarloDropout(keras.layers.Layer):
    """Dropout that is always active, with masks that are functions of seed and position.

    The masks of an ordinary random generator would change with tiles and after resuming a training.
    The random number of a value is therefore a hash of the seed, the layer's name, the point's row
    and column in the domain, and the channel (finalizer of MurmurHash3, Appleby 2008). Dropout in
    prediction: Gal & Ghahramani 2016, arXiv:1506.02142.

    Args:
        rate: See :func:`dropout`.
        kind: ``vanilla``, ``gaussian`` or ``spatial``.
        step: Fine points per point of the features, along each axis.
        margin: Points of the features before the patch's first point.
    """

    def __init__(
        self, rate: float, kind: str, *, step: int = 1, margin: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.kind = kind
        self.step = step
        self.margin = margin

    def call(self, inputs: Any, seed: Any, position: Any) -> Any:
        """Drops values of features.

        Args:
            inputs: Features, (B, H, W, C) or (B, T, H, W, C).
            seed, position: Inputs of the network; see :func:`dropout_inputs`.
        """
        numbers = self._hashes(inputs, seed, position)
        uniform = _uniform(numbers)
        if self.kind == "gaussian":
            other = _uniform(_mixed(numbers + _integer(0x68E31DA4)))
            # Box–Muller transform; 1 − u lies in (0, 1], so its logarithm is finite.
            normal = ops.sqrt(-2 * ops.log(1 - uniform)) * ops.cos(2 * math.pi * other)
            factors = 1 + math.sqrt(self.rate / (1 - self.rate)) * normal
        else:
            factors = ops.cast(uniform >= self.rate, "float32") / (1 - self.rate)
        return inputs * ops.cast(factors, inputs.dtype)

    def _hashes(self, inputs: Any, seed: Any, position: Any) -> Any:
        """Returns random int32, one per value, or one per sample and channel for ``spatial``."""
        rank = len(inputs.shape)
        shape = ops.shape(inputs)

        def along(values: Any, axis: int) -> Any:
            return ops.reshape(values, [-1 if i == axis else 1 for i in range(rank)])

        first, second = (along(ops.cast(seed[:, i], "int32"), 0) for i in (0, 1))
        numbers = _mixed(_mixed(first + _integer(zlib.crc32(self.name.encode()))) + second)
        if self.kind != "spatial":
            for i, (axis, prime) in enumerate(zip((-3, -2), (0x9E3779B1, 0x85EBCA77))):
                start = along(ops.cast(position[:, i], "int32") // self.step - self.margin, 0)
                count = along(ops.arange(shape[axis], dtype="int32"), rank + axis)
                numbers = _mixed(numbers + (start + count) * _integer(prime))
            if rank == 5:
                steps = along(ops.arange(shape[1], dtype="int32"), 1)
                numbers = _mixed(numbers + steps * _integer(0xC2B2AE3D))
        channels = along(ops.arange(shape[-1], dtype="int32"), rank - 1)
        return _mixed(numbers + channels * _integer(0x27D4EB2F))

    def compute_output_shape(self, input_shape: Any, *others: Any) -> Any:
        """Returns the shape of the features."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        arguments = {name: getattr(self, name) for name in ("rate", "kind", "step", "margin")}
        return {**super().get_config(), **arguments}


def _integer(unsigned: int) -> int:
    """Returns the int32 with the same bits as an unsigned 32-bit number."""
    return unsigned - 2**32 if unsigned >= 2**31 else unsigned


def _shifted(x: Any, bits: int) -> Any:
    """Shifts int32 to the right and fills with zeros (a logical shift)."""
    return ops.bitwise_and(ops.right_shift(x, bits), (1 << (32 - bits)) - 1)


def _mixed(x: Any) -> Any:
    """Mixes the bits of int32, so that a change of one bit changes about half of all bits."""
    x = ops.bitwise_xor(x, _shifted(x, 16)) * _integer(0x85EBCA6B)
    x = ops.bitwise_xor(x, _shifted(x, 13)) * _integer(0xC2B2AE35)
    return ops.bitwise_xor(x, _shifted(x, 16))


def _uniform(x: Any) -> Any:
    """Returns the upper 24 bits of int32 as float32 in [0, 1)."""
    return ops.cast(_shifted(x, 8), "float32") * 2.0**-24
