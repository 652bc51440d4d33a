"""Checks of channels, units and values before the learned metric is computed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from phire.errors import InputError
from phire.fields import units
from phire.fields.normalization import Normalization

# Fields whose standard deviation or mean lies this many times off the training data's cannot be
# the same quantity in the same units; weather alone does not do that.
FACTOR = 20.0
# Single values this many training standard deviations from the mean are possible, but worth a word.
EXTREME = 30.0


def check_channels(shape: Sequence[int | None], channels: Sequence[str], what: str) -> None:
    """Raises InputError for fields whose last axis is not the metric's channels.

    Args:
        shape: Shape of the fields; (..., H, W, C).
        channels: The metric's channels.
        what: What is checked, for the message.

    Raises:
        InputError: Fewer than three axes, or another number of channels.
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
    """Raises InputError for fields in other units than the metric's; unnamed units pass.

    Raises:
        InputError: A channel names units that differ from the metric's.
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
    """Raises InputError for missing values and values of other units; warns of extremes.

    Args:
        fields: Physical fields of the shape (..., C).
        normalization: The training data's mean and standard deviation per channel. Where it
            knows none (records that came without), only missing values are refused.
        units: Units per channel, for the message.
        what: What is checked, for the message.
        trained: The training data in the message.

    Raises:
        InputError: NaN or infinite values; or the standard deviation of a channel over all of
            ``fields`` is more than 20 times above or below the training data's; or its mean is
            more than 20 training standard deviations away. A small standard deviation passes where
            the channel is constant, or where its mean alone tells other units.
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
        # A factor that shrinks the spread moves a mean this far off zero beyond its own bound. So
        # what hardly varies from point to point, such as an index of the climate, may pass.
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
