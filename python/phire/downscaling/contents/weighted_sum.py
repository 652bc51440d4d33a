"""Weighted sums of content losses and learned metrics, as the option ``content`` names them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phire.downscaling.contents.registry import Loss
from phire.downscaling.contents.registry import content as contents
from phire.downscaling.distributions.registry import distribution as distributions
from phire.errors import InputError
from phire.fields.units import difference
from phire.parts import split_outside_brackets
from phire.rplearn.metric_description import read_metric_file

if TYPE_CHECKING:
    import tensorflow as tf

    from phire.downscaling.generator_task import Task


def parse_content(text: str) -> list[tuple[float, str]]:
    """Splits a content into its parts with their weights.

    Args:
        text: A name of ``phire parts content``, with options as in ``huber(delta=0.5)``, a metric's
            directory, or a weighted sum such as ``0.8*dssim+0.2*METRIC``. A part without a weight
            weighs 1. A directory whose name holds ``+`` or ``*`` has to be renamed.

    Raises:
        InputError: A weight is not positive.
    """
    parts = []
    for part in split_outside_brackets(str(text), "+"):
        match = re.fullmatch(r"\s*(?:([0-9.eE-]+)\s*\*)?\s*(\S.*?)\s*", part)
        if match is None:
            raise InputError(f"content={text} is no sum of the form 0.9*METRIC+0.1*mse.")
        weight = 1.0 if match[1] is None else _weight(match[1], text)
        parts.append((weight, match[2]))
    return parts


def metrics_of(text: str) -> list[str]:
    """Returns the directories of metrics that a content names."""
    return [part for _, part in parse_content(text) if _specification(part) is None]


def check_content(text: str) -> None:
    """Refuses a content before TensorFlow is loaded.

    Raises:
        InputError: A part is neither a content with its options nor a metric's directory.
    """
    for _, part in parse_content(text):
        named = _specification(part)
        if named:
            contents.resolve(named)
        else:
            read_metric_file(_check_metric(part))


def content_text(parts: Sequence[tuple[float, str]]) -> str:
    """Returns the text of :func:`parse_content`'s parts, with metrics by their whole paths.

    Raises:
        InputError: A part is neither the name of a content nor a metric's directory.
    """
    return "+".join(
        f"{weight:g}*{part if _specification(part) else _check_metric(part).resolve()}"
        for weight, part in parts
    )


def _check_metric(path: str | os.PathLike) -> Path:
    """Returns the path of a metric, which must be there.

    Raises:
        InputError: There is nothing, and no content of that name either.
    """
    if os.path.exists(path):
        return Path(path)
    if str(path) in distributions.parts():
        raise InputError(
            f"content {path}: {path} is a distribution: choose the objective "
            f"likelihood,distribution={path}."
        )
    raise InputError(
        f"content {path} is neither a metric's directory nor one of {', '.join(contents.parts())}."
    )


def _weight(number: str, text: str) -> float:
    try:
        weight = float(number)
    except ValueError:
        weight = 0.0
    if weight <= 0:
        raise InputError(f"content={text}: the weight {number} must be a positive number.")
    return weight


def _specification(part: str) -> str | None:
    """Returns ``NAME,key=value,…`` of a named content; None of a metric's directory."""
    match = re.fullmatch(r"([\w-]+)(?:\((.*)\))?", part)
    if match is None or (match[1] not in contents.parts() and match[2] is None):
        return None
    return f"{match[1]},{match[2]}" if match[2] else match[1]


def build_content(
    parts: Sequence[tuple[float, str]], task: Task, layers: Sequence[str] | None = None
) -> Loss:
    """Builds a weighted sum of content losses.

    Args:
        parts: As :func:`parse_content` gives them.
        task: Records; a metric must be of their channels and units.
        layers: Layers of the metrics to compare; by default their own.

    Raises:
        InputError: A part is neither the name of a content nor a metric's directory, or does not
            fit the records.
    """
    specifications = [_specification(part) for _, part in parts]
    if layers is not None and all(specifications):
        raise InputError(
            f"layers={','.join(layers)} needs a metric in content, which is "
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
    """Opens a learned metric that fits fields of these channels and units.

    Raises:
        InputError: The path is no metric, or the metric does not fit.
    """
    from phire.rplearn import LearnedMetric

    _check_metric(path)
    metric = LearnedMetric.load(path)
    if tuple(metric.channels) != tuple(channels):
        raise InputError(
            f"content {path} is a metric of {', '.join(metric.channels)}, the records hold "
            f"{', '.join(channels)}: train a metric on the same channels."
        )
    different = difference(channels, units, metric.units)
    if different:
        raise InputError(
            f"content {path}: the records hold {different} as the metric takes it: convert the "
            "fields first."
        )
    return metric


def _learned(path: str, task: Task, layers: Sequence[str] | None) -> Loss:
    from phire.downscaling.contents.weighting import as_fields, mean_over_samples
    from phire.rplearn import ContentLoss

    metric = open_metric(path, task.channels, task.units)
    loss = ContentLoss(metric, normalization=task.normalization, layers=layers)

    def learned(truth: tf.Tensor, generated: tf.Tensor, weights: Any) -> tf.Tensor:
        truth, generated, weights = as_fields(truth, generated, weights)
        return mean_over_samples(loss.call(truth, generated), weights)

    return learned
