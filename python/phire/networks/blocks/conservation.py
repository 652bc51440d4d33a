"""Conservation: fine fields whose block means equal the coarse input."""

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
    """Appends :class:`Conservation` to a network, for the channels that both sides have.

    Args:
        network: A network with the input ``low`` and an output of :class:`Fine`.
        scale: Fine points to a coarse one, along each axis.
        low, high: Normalization of the coarse input and of the targets; they name the channels.
        margin: Coarse points of context around ``low``.
        areas: Area of a cell in each row of the domain, in any unit; None for equal ones.

    Returns:
        A model of the same inputs, weights and halo; with ``areas`` it reads ``position``, too.

    Raises:
        InputError: No channel of the targets is among the coarse ones.
    """
    pairs = [
        (low.channels.index(name), place)
        for place, name in enumerate(high.channels)
        if name in low.channels
    ]
    if not pairs:
        raise InputError(
            f"--conserve: none of the targets ({', '.join(high.channels)}) is among the coarse "
            f"channels ({', '.join(low.channels)}), so that there is no mean to conserve."
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
    """Shifts each block of the fine field so that its mean equals the coarse pixel.

    The additive constraint of Harder et al. 2023 (JMLR 24, "Hard-constrained deep learning for
    climate downscaling"). Means are of physical values: normalised fields are taken back to these
    for it. They are weighted by the areas of the domain's rows where these are given; rows beyond
    the domain count as its outermost. Prediction restores the area-weighted means wherever the
    field lies (:func:`phire.fields.coarsening.with_block_means`).

    Args:
        scale: Pixels of a block along each side.
        normalization: The fine field's :class:`phire.fields.normalization.Normalization`, or its
            dictionary; None where it is linear in the physical values, and the coarse one alike.
        low: That of the coarse field; by default the fine field's.
        pairs: (coarse, fine) places of the channels to conserve; by default all, in order.
        areas: Area of a cell in each row of the domain; None for plain means.
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
        """Shifts the blocks of a batch: returns (B, …, h·s, w·s, C).

        Args:
            fine: (B, …, h·s, w·s, C).
            coarse: (B, …, h, w, Cl).
            position: (B, 2) row and column of each patch's first point; only with ``areas``.
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
        places = {place: channels + i for i, (_, place) in enumerate(self.pairs)}
        return ops.take(both, [places.get(i, i) for i in range(channels)], axis=-1)

    def _corrected(self, fine: Any, coarse: Any, weights: Any) -> Any:
        high, low = self._high, self._low
        if low is not None and low != high:
            coarse = high.apply(low.invert(coarse, xp=ops), xp=ops)
        if high is not None:
            # In standard deviations: physical values may be too small for float32 differences.
            fine, coarse = (high.linear(x, xp=ops) for x in (fine, coarse))
        difference = coarse - self._means(fine, weights)
        for axis in (-3, -2):
            difference = ops.repeat(difference, self.scale, axis=axis)
        fine = fine + difference
        return fine if high is None else high.bent(fine, xp=ops)

    def _weights(self, position: Any, height: Any) -> Any:
        """Weights of rows, (B, h·s, 1, 1), whose mean over each block is 1."""
        rows = ops.cast(position, "int32")[:, :1] + ops.arange(height)
        rows = ops.clip(rows, 0, len(self.areas) - 1)
        areas = ops.take(ops.convert_to_tensor(self.areas, self.compute_dtype), rows, axis=0)
        blocks = ops.reshape(areas, (-1, self.scale))
        weights = blocks / ops.mean(blocks, axis=1, keepdims=True)
        return ops.reshape(weights, (-1, height, 1, 1))

    def _means(self, fine: Any, weights: Any) -> Any:
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
        """Returns the arguments."""
        high, low = (value and value.to_dict() for value in (self.normalization, self.low))
        own = {"scale": self.scale, "normalization": high, "low": low, "pairs": self.pairs}
        own["areas"] = self.areas
        return {**super().get_config(), **own}


def _read(value: Any) -> Normalization | None:
    return Normalization.from_dict(value) if isinstance(value, dict) else value
