"""Checks of the channels, units and values of fields given to the learned metric."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from phire.errors import InputError
from phire.fields import units
from phire.fields.normalization import Normalization

# Largest factor between the standard deviations, and largest difference of the means in standard
# deviations, of fields and training data. Larger differences come from other units, not from the
# weather.
FACTOR = 20.0
# Values more than this many training standard deviations from the mean cause a warning.
EXTREME = 30.0


def check_channels(shape: Sequence[int | None], channels: Sequence[str], what: str) -> None:
    """Checks that the last axis of fields has as many channels as the metric.

    Args:
        shape: Shape of the fields, (..., H, W, C).
        channels: The metric's channels.
        what: Name of the fields in the message.

    Raises:
        InputError: There are fewer than three axes, or the number of channels differs.
    """
    if len(shape) < 3:
        raise InputError(
            f"{what} has the shape {tuple(shape)}: the metric takes fields of the shape (H, W, C) "
            "or (n, H, W, C)."
        )
    if shape[-1] != len(channels):
        noun = "channel" if shape[-1] == 1 else "channels"
        raise InputError(
            f"{what} has {shape[-1]} {noun} on its last axis, the metric was trained on "
            f"{len(channels)} ({', '.join(channels)}): pass these, in this order."
        )


def check_units(
    found: Sequence[str | None], wanted: Sequence[str], channels: Sequence[str], what: str
) -> None:
    """Checks that fields have the metric's units; units that are not given pass.

    Raises:
        InputError: A channel has units other than the metric's.
    """
    difference = units.difference(channels, found, wanted)
    if difference:
        raise InputError(
            f"{what} holds {difference} as the metric was trained on: convert the field first."
        )


def check_values(
    fields: np.ndarray,
    normalization: Normalization,
    units: Sequence[str],
    what: str,
    trained: str = "the metric's training data",
) -> None:
    """Checks for missing values and for values in other units; warns of extreme values.

    Args:
        fields: Physical fields of the shape (..., C).
        normalization: Mean and standard deviation of the training data. If it has none (bare
            records), only missing values are refused.
        units: Units of the channels, for the message.
        what: Name of the fields in the message.
        trained: Name of the training data in the message.

    Raises:
        InputError: A value is NaN or infinite; the standard deviation of a channel over all of
            ``fields`` differs from the training data's by more than a factor of 20; or its mean
            differs by more than 20 training standard deviations. A standard deviation that is too
            small is allowed if the channel is constant, or if its mean proves that the units are
            right.
    """
    for c, name in enumerate(normalization.channels):
        values = np.asarray(fields[..., c], dtype=np.float64)
        missing = values.size - int(np.isfinite(values).sum())
        if missing:
            raise InputError(
                f"{what} holds {missing} missing or infinite values in {name}: fill them or leave "
                "these fields out."
            )
        if normalization.mean is None or normalization.std is None:
            continue
        mean, std = normalization.mean[c], normalization.std[c]
        unit = f" {units[c]}" if c < len(units) and units[c] else ""
        own_mean, own_std = float(values.mean()), float(values.std())
        constant = float(np.ptp(values)) <= 1e-6 * abs(own_mean)
        # A unit factor that shrinks the spread would also move such a mean beyond its bound. With
        # the mean in bounds, a small spread is real: a channel that hardly varies in space, such
        # as a climate index.
        shows_in_mean = abs(mean) > FACTOR * std / (1 - 1 / FACTOR)
        small = own_std < std / FACTOR and not (constant or shows_in_mean)
        if small or own_std > FACTOR * std:
            raise InputError(
                f"{what}: the standard deviation of {name} is {own_std:.3g}, that of "
                f"{trained} {std:.3g}{unit}: pass physical fields in these units."
            )
        if abs(own_mean - mean) > FACTOR * std:
            raise InputError(
                f"{what}: the mean of {name} is {own_mean:.6g}, that of {trained} "
                f"{mean:.6g} ± {std:.3g}{unit}: pass physical fields in these units."
            )
        farthest = float(np.abs(values - mean).max()) / std
        if farthest > EXTREME:
            warnings.warn(
                f"{what}: {name} reaches {farthest:.0f} standard deviations from the mean of "
                f"{trained}, beyond what the network has seen.",
                stacklevel=3,
            )
