"""Random inputs of stochastic generators, by seed, time and member, over the whole field."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

RANDOM = ("noise", "seed")
"""Inputs of a network that are drawn: noise maps, and the seed of Monte Carlo dropout."""


def is_stochastic(network: keras.Model) -> bool:
    """Tells if a network reads random numbers, so that its members differ."""
    return bool({*RANDOM} & {*network.input})


def draw_noise(seed: int, time: int, member: int, shape: tuple[int, ...]) -> np.ndarray:
    """Draws the noise of one field: standard normal float32 of ``shape``.

    Args:
        seed: Seed of the prediction.
        time: The field's time, as :class:`phire.fields.time.TimeAxis` holds it.
        member: Number of the member, from 0.
        shape: (H, W, N) of the whole field, before it is cut into tiles.
    """
    return _generator(seed, time, member, 0).standard_normal(shape, np.float32)


def draw_dropout_seed(seed: int, time: int, member: int) -> np.ndarray:
    """Draws the (2,) int32 from which Monte Carlo dropout makes its masks by place."""
    limits = np.iinfo(np.int32)
    return _generator(seed, time, member, 1).integers(
        limits.min, limits.max, 2, np.int32, endpoint=True
    )


def draw_sampler_noise(
    seed: int, fields: Sequence[tuple[int, int]], shape: tuple[int, ...], step: int
) -> np.ndarray:
    """Draws the noise of one step of a sampler: standard normal float32 (k, *shape).

    Args:
        seed: Seed of the prediction.
        fields: Time and member of each of the k fields.
        shape: (H, W, C) of a whole field.
        step: Number of the step; −1 is the start.
    """
    return np.stack(
        [
            _generator(seed, time, member, 2, step + 1).standard_normal(shape, np.float32)
            for time, member in fields
        ]
    )


def draw_levels(seed: int, time: int, member: int, shape: tuple[int, ...]) -> np.ndarray:
    """Draws levels of quantiles for one field: uniform float64 of ``shape`` in [0, 1).

    Args:
        seed, time, member: As for :func:`draw_noise`.
        shape: (H, W, C) of the whole field.
    """
    return _generator(seed, time, member, 3).random(shape)


def _generator(seed: int, time: int, member: int, *purpose: int) -> np.random.Generator:
    # A seed sequence takes no negative numbers: times before 1970 are wrapped to 64 bits.
    return np.random.default_rng([seed, int(time) % 2**64, member, *purpose])
