"""Weighted sums of content losses and learned metrics, the values of the option ``content``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phire.downscaling.contents.registry import Loss
from phire.downscaling.contents.registry import content as contents
from phire.downscaling.predicted_distributions.registry import distribution as distributions
from phire.errors import InputError
from phire.fields.units import difference
from phire.part_registry import split_outside_brackets
from phire.rplearn.metric_description import read_metric_file

if TYPE_CHECKING:
    import tensorflow as tf

    from phire.downscaling.generator_task import Task


def parse_content(text: str) -> list[tuple[float, str]]:
    """Splits the option ``content`` into weights and parts.

    Args:
        text: Name of a content loss with options, as in ``huber(delta=0.5)``; path of a metric
            directory, without ``+`` and ``*`` in it; or a weighted sum of these, such as
            ``0.8*dssim+0.2*METRIC``. The default weight is 1. ``phire parts content`` lists the
            names.

    Returns:
        (weight, part) for each part.

    Raises:
        InputError: The text is no such sum, or a weight is not positive.
    """
    parts = []
    for part in split_outside_brackets(str(text), "+"):
        match = re.fullmatch(r"\s*(?:([0-9.eE-]+)\s*\*)?\s*(\S.*?)\s*", part)
        if match is None:
            raise InputError(
                f"content={text} is not a weighted sum: write it like 0.9*METRIC+0.1*mse."
            )
        weight = 1.0 if match[1] is None else _weight(match[1], text)
        parts.append((weight, match[2]))
    return parts


def metrics_of(text: str) -> list[str]:
    """Returns the metric directories among the parts of the option ``content``."""
    return [part for _, part in parse_content(text) if _specification(part) is None]


def check_content(text: str) -> None:
    """Checks the option ``content`` without loading TensorFlow.

    Raises:
        InputError: A part is neither a content loss with valid options nor a metric directory.
    """
    for _, part in parse_content(text):
        named = _specification(part)
        if named:
            contents.resolve(named)
        else:
            read_metric_file(_check_metric(part))


def content_text(parts: Sequence[tuple[float, str]]) -> str:
    """Formats weights and parts as the option ``content``, with absolute paths of metrics.

    Args:
        parts: Result of :func:`parse_content`.

    Raises:
        InputError: A part is neither the name of a content loss nor a metric directory.
    """
    return "+".join(
        f"{weight:g}*{part if _specification(part) else _check_metric(part).resolve()}"
        for weight, part in parts
    )


def _check_metric(path: str | os.PathLike) -> Path:
    """Returns the path of a metric that exists.

    Raises:
        InputError: Nothing exists at ``path``.
    """
    if os.path.exists(path):
        return Path(path)
    if str(path) in distributions.parts():
        raise InputError(
            f"content {path} is a distribution: choose the objective "
            f"likelihood,distribution={path}."
        )
    raise InputError(
        f"content {path} is neither a metric directory nor one of {', '.join(contents.parts())}: "
        "name one of these."
    )


def _weight(number: str, text: str) -> float:
    """Parses a positive weight; ``text`` is the whole option, for the message."""
    try:
        weight = float(number)
    except ValueError:
        weight = 0.0
    if weight <= 0:
        raise InputError(f"content={text}: the weight {number} must be a positive number.")
    return weight


def _specification(part: str) -> str | None:
    """Converts ``NAME(key=value,…)`` to ``NAME,key=value,…``; None for a metric directory."""
    match = re.fullmatch(r"([\w-]+)(?:\((.*)\))?", part)
    if match is None or (match[1] not in contents.parts() and match[2] is None):
        return None
    return f"{match[1]},{match[2]}" if match[2] else match[1]


def build_content(
    parts: Sequence[tuple[float, str]], task: Task, layers: Sequence[str] | None = None
) -> Loss:
    """Builds a weighted sum of content losses.

    Args:
        parts: Weights and parts from :func:`parse_content`.
        task: Network and records; metrics must have the records' channels and units.
        layers: Layers of the metrics to compare; None for each metric's own choice.

    Raises:
        InputError: A part is neither the name of a content loss nor a metric directory, or does not
            fit the records; or ``layers`` is given without a metric.
    """
    specifications = [_specification(part) for _, part in parts]
    if layers is not None and all(specifications):
        raise InputError(
            f"layers={','.join(layers)} needs a metric in content, but content is "
            f"{'+'.join(part for _, part in parts)}: leave it out."
        )
    losses = [
        (weight, contents.build(named, task) if named else _learned(part, task, layers))
        for (weight, part), named in zip(parts, specifications)
    ]

    def content(truth: tf.Tensor, generated: tf.Tensor, weights: Any = None) -> tf.Tensor:
        import tensorflow as tf

        return tf.add_n([weight * loss(truth, generated, weights) for weight, loss in losses])

    return content


def open_metric(path: str | os.PathLike, channels: Sequence[str], units: Sequence[str]) -> Any:
    """Opens a learned metric and checks that it fits channels and units.

    Raises:
        InputError: ``path`` is not a metric directory, or the metric's channels or units differ.
    """
    from phire.rplearn import LearnedMetric

    _check_metric(path)
    metric = LearnedMetric.load(path)
    if tuple(metric.channels) != tuple(channels):
        raise InputError(
            f"content {path} is a metric of {', '.join(metric.channels)}, but the records hold "
            f"{', '.join(channels)}: train a metric on the same channels."
        )
    different = difference(channels, units, metric.units)
    if different:
        raise InputError(
            f"content {path}: the records hold {different} as the metric expects: convert the "
            "units of the fields first."
        )
    return metric


def _learned(path: str, task: Task, layers: Sequence[str] | None) -> Loss:
    """Returns the content loss of a learned metric."""
    from phire.downscaling.contents.weighting import as_fields, mean_over_samples
    from phire.rplearn import ContentLoss

    metric = open_metric(path, task.channels, task.units)
    loss = ContentLoss(metric, normalization=task.normalization, layers=layers)

    def learned(truth: tf.Tensor, generated: tf.Tensor, weights: Any) -> tf.Tensor:
        truth, generated, weights = as_fields(truth, generated, weights)
        return mean_over_samples(loss.call(truth, generated), weights)

    return learned
