"""Random inputs of stochastic generators, functions of seed, time and member.

They are drawn for the whole field, so they depend neither on tiles nor on batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

RANDOM = ("noise", "seed")
"""Random inputs of networks: noise maps, and the seed of Monte Carlo dropout."""


LATTICE_POINTS, LATTICE_REACH = 2, 5
"""Number of lattice times per correlation time, and number of lattice times used on either side of
a time. The others have weights of at most 4e-5 and are left out."""


def is_stochastic(network: keras.Model) -> bool:
    """Returns True if a network has random inputs, so that its members differ."""
    return bool({*RANDOM} & {*network.input})


def draw_noise(
    seed: int, time: int, member: int, shape: tuple[int, ...], memory: float | None = None
) -> np.ndarray:
    """Draws the noise of one field: standard normal float32 of ``shape``.

    Args:
        seed: Seed of the prediction.
        time: Time of the field in seconds, as in :class:`phire.fields.time_axis.TimeAxis`.
        member: Number of the member, from 0.
        shape: Shape of the whole field, (H, W, N).
        memory: Seconds over which the noise is correlated; None for independent noise at every
            time.
    """
    return _normal(seed, time, member, (0,), shape, memory)


def draw_dropout_seed(seed: int, time: int, member: int) -> np.ndarray:
    """Draws the seed of Monte Carlo dropout masks for one field, (2,) int32."""
    limits = np.iinfo(np.int32)
    return _generator(seed, time, member, 1).integers(
        limits.min, limits.max, 2, np.int32, endpoint=True
    )


def draw_sampler_noise(
    seed: int, fields: Sequence[tuple[int, int]], shape: tuple[int, ...], memory: float | None,
    step: int,
) -> np.ndarray:  # fmt: skip
    """Draws the noise of one sampler step for k fields: standard normal float32 (k, *shape).

    Args:
        seed: Seed of the prediction.
        fields: Time and member of each field.
        shape: Shape of a whole field, (H, W, C).
        memory: See :func:`draw_noise`.
        step: Number of the step; −1 for the initial state.
    """
    return np.stack(
        [_normal(seed, time, member, (2, step + 1), shape, memory) for time, member in fields]
    )


def draw_levels(seed: int, time: int, member: int, shape: tuple[int, ...]) -> np.ndarray:
    """Draws quantile levels for sampling a distribution: uniform float64 of ``shape`` in [0, 1).

    Args:
        seed, time, member: See :func:`draw_noise`.
        shape: Shape of the whole field, (H, W, C).
    """
    return _generator(seed, time, member, 3).random(shape)


def _normal(
    seed: int, time: int, member: int, purpose: tuple[int, ...], shape: tuple[int, ...],
    memory: float | None,
) -> np.ndarray:  # fmt: skip
    """Draws standard normal float32 of ``shape``, independent or correlated in time.

    With a memory τ in seconds the noise of a member is a Gaussian process in time with correlation
    exp(−(h/τ)²) at lag h. It is a moving average of independent noise at lattice times τ/2 apart,
    weighted by exp(−2(Δ/τ)²) at distance Δ, so it can be evaluated at any time without the times
    before. The weights are scaled so that the variance is 1 at all times; without this, it would
    vary by up to 1e-4 between lattice times.
    """
    if memory is None:
        return _generator(seed, time, member, *purpose).standard_normal(shape, np.float32)
    spacing = memory / LATTICE_POINTS
    nearest = round(time / spacing)
    total, squares = np.zeros(shape, np.float32), 0.0
    for k in range(nearest - LATTICE_REACH, nearest + LATTICE_REACH + 1):
        weight = np.exp(-2 * ((time - k * spacing) / memory) ** 2)
        drawn = _generator(seed, k, member, 4, *purpose).standard_normal(shape, np.float32)
        total += np.float32(weight) * drawn
        squares += weight**2
    return total / np.float32(np.sqrt(squares))


def _generator(seed: int, time: int, member: int, *purpose: int) -> np.random.Generator:
    """Returns a generator for one field; numbers for different purposes are independent."""
    # Seeds must not be negative, so times before 1970 wrap modulo 2⁶⁴.
    return np.random.default_rng([seed, int(time) % 2**64, member, *purpose])
