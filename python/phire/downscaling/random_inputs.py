"""Random inputs of stochastic generators, by seed, time and member, over the whole field."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

RANDOM = ("noise", "seed")
"""Inputs of a network that are drawn: noise maps, and the seed of Monte Carlo dropout."""


LATTICE_POINTS, LATTICE_REACH = 2, 5
"""Lattice times in a memory, and to either side of a time; the last weigh 4e-5 at most."""


def is_stochastic(network: keras.Model) -> bool:
    """Returns True if a network reads random numbers, so that its members differ."""
    return bool({*RANDOM} & {*network.input})


def draw_noise(
    seed: int, time: int, member: int, shape: tuple[int, ...], memory: float | None = None
) -> np.ndarray:
    """Draws the noise of one field: standard normal float32 of ``shape``.

    Args:
        seed: Seed of the prediction.
        time: The field's time in seconds, as :class:`phire.fields.time.TimeAxis` holds it.
        member: Number of the member, from 0.
        shape: (H, W, N) of the whole field, before it is cut into tiles.
        memory: See :func:`_normal`.
    """
    return _normal(seed, time, member, (0,), shape, memory)


def draw_dropout_seed(seed: int, time: int, member: int) -> np.ndarray:
    """Draws the (2,) int32 from which Monte Carlo dropout makes its masks by place."""
    limits = np.iinfo(np.int32)
    return _generator(seed, time, member, 1).integers(
        limits.min, limits.max, 2, np.int32, endpoint=True
    )


def draw_sampler_noise(
    seed: int, fields: Sequence[tuple[int, int]], shape: tuple[int, ...], memory: float | None,
    step: int,
) -> np.ndarray:  # fmt: skip
    """Draws the noise of one step of a sampler: standard normal float32 (k, *shape).

    Args:
        seed: Seed of the prediction.
        fields: Time and member of each of the k fields.
        shape: (H, W, C) of a whole field.
        memory: See :func:`_normal`.
        step: Number of the step; −1 is the start.
    """
    return np.stack(
        [_normal(seed, time, member, (2, step + 1), shape, memory) for time, member in fields]
    )


def draw_levels(seed: int, time: int, member: int, shape: tuple[int, ...]) -> np.ndarray:
    """Draws levels of quantiles for one field: uniform float64 of ``shape`` in [0, 1).

    Args:
        seed, time, member: As for :func:`draw_noise`.
        shape: (H, W, C) of the whole field.
    """
    return _generator(seed, time, member, 3).random(shape)


def _normal(
    seed: int, time: int, member: int, purpose: tuple[int, ...], shape: tuple[int, ...],
    memory: float | None,
) -> np.ndarray:  # fmt: skip
    """Draws standard normal float32 of ``shape``, independent from time to time or with a memory.

    With a memory τ in seconds the noise of a member is a Gaussian process in time whose correlation
    at lag h is exp(−(h/τ)²): a moving average of independent noise on a lattice of times τ/2 apart,
    with the weights exp(−2(Δ/τ)²) of the distances Δ. It is evaluated at any time without its past.
    The lattice shows in the variance by less than 1e-4, and the weights are scaled to a variance
    of 1.
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
    # A seed sequence takes no negative numbers: times before 1970 are wrapped to 64 bits.
    return np.random.default_rng([seed, int(time) % 2**64, member, *purpose])
