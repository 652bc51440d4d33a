"""Conservation layer, which makes the block means of fine fields equal the coarse input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.networks.blocks.fine_output import Fine, fine_layer_of


def conserving(
    network: keras.Model,
    scale: int,
    low: Normalization,
    high: Normalization,
    *,
    margin: int = 0,
    areas: Sequence[float] | None = None,
) -> keras.Model:
    """Appends :class:`Conservation` to a network, for channels that input and targets share.

    Args:
        network: Network with the input ``low`` and an output layer :class:`Fine`.
        scale: Fine points per coarse point, along each axis.
        low, high: Normalizations of the coarse input and of the targets, which name the channels.
        margin: Coarse points of context around ``low``.
        areas: Area of a grid cell in each row of the domain, in any unit; None for equal areas.

    Returns:
        A model with the same weights, halo and inputs; with ``areas`` it also reads ``position``.

    Raises:
        InputError: No target is among the coarse channels.
    """
    pairs = [
        (low.channels.index(name), place)
        for place, name in enumerate(high.channels)
        if name in low.channels
    ]
    if not pairs:
        raise InputError(
            f"--conserve: none of the targets ({', '.join(high.channels)}) is among the coarse "
            f"channels ({', '.join(low.channels)}), so there is no mean to conserve: leave it out."
        )
    inputs = network.input if isinstance(network.input, dict) else {"low": network.input}
    coarse = inputs["low"]
    if margin:
        cropping = [[0, 0]] if len(coarse.shape) == 5 else []
        kind = keras.layers.Cropping3D if cropping else keras.layers.Cropping2D
        coarse = kind([*cropping, [margin, margin], [margin, margin]])(coarse)
    layer = Conservation(scale, high, low, pairs, areas, dtype="float32")
    arguments = [network.get_layer("fine").input, coarse]
    if areas is not None:
        inputs = {"position": keras.Input((2,), dtype="int32", name="position"), **inputs}
        arguments.append(inputs["position"])
    fine = layer(*arguments)
    return keras.Model(
        inputs, Fine.from_config(fine_layer_of(network).get_config())(fine), name=network.name
    )


@keras.saving.register_keras_serializable(package="phire")
class Conservation(keras.layers.Layer):
    """Shift of each block of a fine field that makes its mean equal the coarse value.

    This is the additive constraint of Harder et al. 2023 ("Hard-constrained deep learning for
    climate downscaling", JMLR 24). Means are taken of physical values, weighted by the areas of the
    domain's rows if these are given; rows beyond the domain have the area of its outermost row.
    Prediction restores the area-weighted means on any grid
    (:func:`phire.fields.block_mean_correction.with_block_means`).

    Args:
        scale: Side of a block in fine points.
        normalization: :class:`phire.fields.normalization.Normalization` of the fine field, or its
            dictionary; None if fine and coarse fields are the same linear function of physical
            values.
        low: Normalization of the coarse field; None for that of the fine field.
        pairs: (coarse, fine) indices of the channels to conserve; None for all, in order.
        areas: Area of a grid cell in each row of the domain; None for unweighted means.
    """

    def __init__(
        self,
        scale: int,
        normalization: Any = None,
        low: Any = None,
        pairs: Sequence[tuple[int, int]] | None = None,
        areas: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.normalization = _read(normalization)
        self.low = _read(low)
        self.pairs = None if pairs is None else [tuple(pair) for pair in pairs]
        self.areas = None if areas is None else [float(area) for area in areas]
        if self.pairs is None or self.normalization is None:
            self._high = self.normalization
            self._low = self.low
        else:
            names = [self.normalization.channels[place] for _, place in self.pairs]
            self._high = self.normalization.select(names)
            self._low = None if self.low is None else self.low.select(names)

    def call(self, fine: Any, coarse: Any, position: Any = None) -> Any:
        """Shifts the blocks of a batch.

        Args:
            fine: Fine fields, (B, …, h·scale, w·scale, C).
            coarse: Coarse fields, (B, …, h, w, Cl).
            position: Row and column of each patch's first point in the domain, (B, 2); needed only
                with ``areas``.

        Returns:
            Fields of the shape of ``fine``.
        """
        weights = None if self.areas is None else self._weights(position, ops.shape(fine)[-3])
        coarse = ops.cast(coarse, fine.dtype)
        channels = fine.shape[-1]
        if self.pairs is None or self.pairs == [(i, i) for i in range(coarse.shape[-1])]:
            if self.pairs is None or len(self.pairs) == channels:
                return self._corrected(fine, coarse, weights)
        chosen = [
            ops.take(x, [pair[side] for pair in self.pairs], axis=-1)
            for side, x in enumerate((coarse, fine))
        ]
        corrected = self._corrected(chosen[1], chosen[0], weights)
        both = ops.concatenate([fine, corrected], axis=-1)
        # Take the corrected channel where there is one, else the original.
        sources = {index: channels + i for i, (_, index) in enumerate(self.pairs)}
        return ops.take(both, [sources.get(i, i) for i in range(channels)], axis=-1)

    def _corrected(self, fine: Any, coarse: Any, weights: Any) -> Any:
        """Shifts the blocks of fields whose channels correspond."""
        high, low = self._high, self._low
        if low is not None and low != high:
            coarse = high.apply(low.invert(coarse, xp=ops), xp=ops)
        if high is not None:
            # Linear in physical values, but in units of the standard deviation: differences of
            # tiny physical values would underflow in float32.
            fine, coarse = (high.to_linear(x, xp=ops) for x in (fine, coarse))
        difference = coarse - self._means(fine, weights)
        for axis in (-3, -2):
            difference = ops.repeat(difference, self.scale, axis=axis)
        fine = fine + difference
        return fine if high is None else high.from_linear(fine, xp=ops)

    def _weights(self, position: Any, height: Any) -> Any:
        """Returns the weights of rows, (B, h·scale, 1, 1), with the mean 1 over each block."""
        rows = ops.cast(position, "int32")[:, :1] + ops.arange(height)
        rows = ops.clip(rows, 0, len(self.areas) - 1)
        areas = ops.take(ops.convert_to_tensor(self.areas, self.compute_dtype), rows, axis=0)
        blocks = ops.reshape(areas, (-1, self.scale))
        weights = blocks / ops.mean(blocks, axis=1, keepdims=True)
        return ops.reshape(weights, (-1, height, 1, 1))

    def _means(self, fine: Any, weights: Any) -> Any:
        """Returns the weighted block means."""
        shape = ops.shape(fine)
        if weights is not None:
            fine = fine * (weights if len(shape) == 4 else weights[:, None])
        flat = ops.reshape(fine, (-1, *shape[2:])) if len(shape) == 5 else fine
        means = ops.average_pool(flat, self.scale, self.scale, padding="valid")
        return ops.reshape(means, (*shape[:2], *ops.shape(means)[1:])) if len(shape) == 5 else means

    def compute_output_shape(
        self, fine_shape: tuple, coarse_shape: tuple, position_shape: tuple | None = None
    ) -> tuple:
        """Returns the shape of the fine field."""
        return fine_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        high, low = (value and value.to_dict() for value in (self.normalization, self.low))
        return {
            **super().get_config(), "scale": self.scale, "normalization": high, "low": low,
            "pairs": self.pairs, "areas": self.areas,
        }  # fmt: skip


def _read(value: Any) -> Normalization | None:
    """Returns a normalization; converts it from the dictionary of a saved layer if needed."""
    return Normalization.from_dict(value) if isinstance(value, dict) else value
