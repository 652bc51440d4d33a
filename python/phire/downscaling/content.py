"""Content losses: how far a generated field is from the true one, pixel for pixel or learned."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.fields.units import difference

PIXEL = ("mse", "mae")

Loss = Callable[[Any, Any, Any], Any]
"""``loss(truth, generated, valid)`` of fields (B, …, C), 0 where ``valid`` is 0; it may be None."""


def parse_content(text: str) -> list[tuple[float, str]]:
    """The parts of ``--content``: ``mse``, ``mae``, a metric's directory, or a weighted sum.

    A sum is written ``0.9*METRIC+0.1*mse``; a part without a weight weighs 1. A directory whose
    name holds ``+`` or ``*`` has to be renamed.

    Raises:
        InputError: A weight is not positive.
    """
    parts = []
    for part in str(text).split("+"):
        match = re.fullmatch(r"\s*(?:([0-9.eE-]+)\s*\*)?\s*(\S.*?)\s*", part)
        if match is None:
            raise InputError(f"--content {text} is no sum of the form 0.9*METRIC+0.1*mse.")
        weight = 1.0 if match[1] is None else _weight(match[1], text)
        parts.append((weight, match[2]))
    return parts


def metrics_of(text: str) -> list[str]:
    """Returns the directories of metrics that a content names."""
    return [name for _, name in parse_content(text) if name not in PIXEL]


def content_text(parts: Sequence[tuple[float, str]]) -> str:
    """The text of :func:`parse_content`'s parts, with metrics by their whole paths."""
    return "+".join(
        f"{weight:g}*{name if name in PIXEL else Path(name).resolve()}" for weight, name in parts
    )


def _weight(number: str, text: str) -> float:
    try:
        weight = float(number)
    except ValueError:
        weight = 0.0
    if weight <= 0:
        raise InputError(f"--content {text}: the weight {number} must be a positive number.")
    return weight


def build_content(
    parts: Sequence[tuple[float, str]],
    *,
    normalization: Normalization,
    channels: Sequence[str],
    units: Sequence[str],
    layers: Sequence[str] | None = None,
) -> Loss:
    """The content loss of generated against true fields, both normalised: a scalar.

    Args:
        parts: As :func:`parse_content` gives them.
        normalization: The space of the fields.
        channels, units: Of the fields; a metric must have the same.
        layers: Layers of the metric to compare; its own choice by default.

    Raises:
        InputError: A metric is none, or is one of other channels or units.
    """
    if layers is not None and all(name in PIXEL for _, name in parts):
        raise InputError(
            f"layers={','.join(layers)} needs a metric in content, which is "
            f"{'+'.join(name for _, name in parts)}: leave it out."
        )
    losses = []
    for weight, name in parts:
        if name in PIXEL:
            losses.append((weight, mse if name == "mse" else mae))
        else:
            losses.append((weight, _learned(name, normalization, channels, units, layers)))

    def content(truth: tf.Tensor, generated: tf.Tensor, valid: Any = None) -> tf.Tensor:
        return tf.add_n([weight * loss(truth, generated, valid) for weight, loss in losses])

    return content


def mse(truth: tf.Tensor, generated: tf.Tensor, valid: Any = None) -> tf.Tensor:
    """Returns the mean squared error over valid values."""
    return mean(tf.square(generated - truth), valid)


def mae(truth: tf.Tensor, generated: tf.Tensor, valid: Any = None) -> tf.Tensor:
    """Returns the mean absolute error over valid values."""
    return mean(tf.abs(generated - truth), valid)


def mean(errors: tf.Tensor, valid: Any) -> tf.Tensor:
    """Returns the mean over valid values; 0 of none."""
    if valid is None:
        return tf.reduce_mean(errors)
    valid = tf.cast(valid, errors.dtype)
    return tf.reduce_sum(errors * valid) / tf.maximum(tf.reduce_sum(valid), 1)


def open_metric(path: str | os.PathLike, channels: Sequence[str], units: Sequence[str]) -> Any:
    """A learned metric that fits fields of these channels and units.

    Raises:
        InputError: It is none, or does not fit.
    """
    from phire.rplearn import LearnedMetric

    metric = LearnedMetric.load(path)
    if tuple(metric.channels) != tuple(channels):
        raise InputError(
            f"--content {path} is a metric of {', '.join(metric.channels)}, the records hold "
            f"{', '.join(channels)}: train a metric on the same channels."
        )
    different = difference(channels, units, metric.units)
    if different:
        raise InputError(
            f"--content {path}: the records hold {different} as the metric takes it: convert the "
            "fields first."
        )
    return metric


def _learned(
    path: str,
    normalization: Normalization,
    channels: Sequence[str],
    units: Sequence[str],
    layers: Sequence[str] | None,
) -> Loss:
    from phire.rplearn import ContentLoss

    metric = open_metric(path, channels, units)
    loss = ContentLoss(metric, normalization=normalization, layers=layers)

    def learned(truth: tf.Tensor, generated: tf.Tensor, valid: Any) -> tf.Tensor:
        fields = (tf.reshape(x, (-1, *x.shape[-3:])) for x in (truth, generated))
        return tf.reduce_mean(loss.call(*fields))

    return learned
