"""Conservation: fine fields whose block means equal the coarse input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.networks.blocks.output import Fine, halo_of


def conserving(
    network: keras.Model,
    scale: int,
    low: Normalization,
    high: Normalization,
    *,
    margin: int = 0,
) -> keras.Model:
    """Appends :class:`Conservation` to a network, for the channels that both sides have.

    Args:
        network: A network with the input ``low`` and an output of :class:`Fine`.
        scale: Fine points to a coarse one, along each axis.
        low, high: Normalization of the coarse input and of the targets; they name the channels.
        margin: Coarse points of context around ``low``.

    Returns:
        A model of the same inputs, weights and halo.

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
    layer = Conservation(scale, high, low, pairs, dtype="float32")
    fine = layer(network.get_layer("fine").input, coarse)
    return keras.Model(inputs, Fine(halo_of(network))(fine), name=network.name)


@keras.saving.register_keras_serializable(package="phire")
class Conservation(keras.layers.Layer):
    """Shifts each block of the fine field so that its mean equals the coarse pixel.

    The additive constraint of Harder et al. 2023 (JMLR 24, "Hard-constrained deep learning for
    climate downscaling"). Means are plain ones of physical values: normalised fields are taken back
    to these for it. A patch does not know its latitudes; prediction, which does,
    restores the area-weighted means (:func:`phire.fields.coarsening.with_block_means`).

    Args:
        scale: Pixels of a block along each side.
        normalization: The fine field's :class:`phire.fields.normalization.Normalization`, or its
            dictionary; None where it is linear in the physical values, and the coarse one alike.
        low: That of the coarse field; by default the fine field's.
        pairs: (coarse, fine) places of the channels to conserve; by default all, in order.
    """

    def __init__(
        self,
        scale: int,
        normalization: Any = None,
        low: Any = None,
        pairs: Sequence[tuple[int, int]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.normalization = _read(normalization)
        self.low = _read(low)
        self.pairs = None if pairs is None else [tuple(pair) for pair in pairs]
        if self.pairs is None or self.normalization is None:
            self._high = self.normalization
            self._low = self.low
        else:
            names = [self.normalization.channels[place] for _, place in self.pairs]
            self._high = self.normalization.select(names)
            self._low = None if self.low is None else self.low.select(names)

    def call(self, fine: Any, coarse: Any) -> Any:
        """(B, …, h·s, w·s, C) and (B, …, h, w, Cl) → (B, …, h·s, w·s, C)."""
        coarse = ops.cast(coarse, fine.dtype)
        channels = fine.shape[-1]
        if self.pairs is None or self.pairs == [(i, i) for i in range(coarse.shape[-1])]:
            if self.pairs is None or len(self.pairs) == channels:
                return self._corrected(fine, coarse)
        chosen = [
            ops.take(x, [pair[side] for pair in self.pairs], axis=-1)
            for side, x in enumerate((coarse, fine))
        ]
        corrected = self._corrected(chosen[1], chosen[0])
        both = ops.concatenate([fine, corrected], axis=-1)
        places = {place: channels + i for i, (_, place) in enumerate(self.pairs)}
        return ops.take(both, [places.get(i, i) for i in range(channels)], axis=-1)

    def _corrected(self, fine: Any, coarse: Any) -> Any:
        high, low = self._high, self._low
        if low is not None and low != high:
            coarse = high.apply(low.invert(coarse, xp=ops), xp=ops)
        if high is not None:
            # In standard deviations: physical values may be too small for float32 differences.
            fine, coarse = (high.linear(x, xp=ops) for x in (fine, coarse))
        difference = coarse - self._means(fine)
        for axis in (-3, -2):
            difference = ops.repeat(difference, self.scale, axis=axis)
        fine = fine + difference
        return fine if high is None else high.bent(fine, xp=ops)

    def _means(self, fine: Any) -> Any:
        shape = ops.shape(fine)
        flat = ops.reshape(fine, (-1, *shape[2:])) if len(shape) == 5 else fine
        means = ops.average_pool(flat, self.scale, self.scale, padding="valid")
        return ops.reshape(means, (*shape[:2], *ops.shape(means)[1:])) if len(shape) == 5 else means

    def compute_output_shape(self, fine_shape: tuple, coarse_shape: tuple) -> tuple:
        """The shape of the fine field."""
        return fine_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        high, low = (value and value.to_dict() for value in (self.normalization, self.low))
        own = {"scale": self.scale, "normalization": high, "low": low, "pairs": self.pairs}
        return {**super().get_config(), **own}


def _read(value: Any) -> Normalization | None:
    return Normalization.from_dict(value) if isinstance(value, dict) else value
