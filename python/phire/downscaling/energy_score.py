"""Fair energy score of an ensemble as a loss, and distances for it.

The score of members x_1 … x_m and truth y is mean_i |x_i − y| − ½ mean_{i≠j} |x_i − x_j|. The
second mean is over m·(m − 1) pairs, which makes the expectation independent of m (Gneiting and
Raftery 2007, doi:10.1198/016214506000001437; Ferro 2014, doi:10.1002/qj.2270). |·| may be any
distance of negative type, such as a norm to a power below 2; for scalars and |a − b| the score is
the CRPS.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from phire.downscaling.contents.weighted_sum import open_metric
from phire.downscaling.generator_task import Task

Distance = Callable[[Any, Any], Any]
SMALLEST = 1e-12
"""Added to squared norms before the root is taken, because its gradient is infinite at 0."""


def fair_energy_score(distance: Distance, truth: Any, members: Sequence[Any]) -> Any:
    """Returns the fair energy score of an ensemble, in the shape that ``distance`` returns.

    Args:
        distance: Function of two fields that returns their distance, of any shape.
        truth: True fields.
        members: Two or more ensemble members, each of the truth's shape.
    """
    count = len(members)
    error = tf.add_n([distance(x, truth) for x in members]) / count
    pairs = [distance(a, b) for a, b in itertools.combinations(members, 2)]
    return error - tf.add_n(pairs) / (count * (count - 1))


def absolute(a: Any, b: Any) -> Any:
    """Returns |a − b| of each value; with this distance the energy score is the CRPS."""
    return tf.abs(a - b)


def patch_distance(size: int, beta: float) -> Distance:
    """Returns a distance of patches: their root mean square difference to the power ``beta``.

    Args:
        size: Rows and columns of a patch. Patches do not overlap; rows and columns at the south and
            east that fill no patch are ignored.
        beta: Power between 0 and 2, for which the distance is of negative type.
    """

    def distance(a: Any, b: Any) -> Any:
        squares = tf.nn.avg_pool2d(tf.square(a - b), size, size, "VALID")
        return (squares + SMALLEST) ** (beta / 2)

    return distance


def learned_kernel(task: Task, metric: str, layers: Sequence[str] | None, beta: float) -> Distance:
    """Returns the kernel of a learned metric: the distance (B,) of features to the power ``beta``.

    Args:
        task: Channels, units and normalization of the fields.
        metric: Directory of the metric.
        layers: Layers of its encoder whose features are compared; None for those of the metric.
        beta: Power between 0 and 2, for which the kernel is of negative type.

    Raises:
        InputError: ``metric`` is not a metric directory, or its channels differ.
    """
    from phire.rplearn import ContentLoss

    opened = open_metric(metric, task.channels, task.units)
    loss = ContentLoss(opened, normalization=task.normalization, layers=layers)

    def distance(a: Any, b: Any) -> Any:
        return (loss.call(a, b) + SMALLEST) ** (beta / 2)

    return distance


def pooled(fields: Any, valid: Any, size: int) -> tuple[Any, Any]:
    """Returns block means of fields, and the mask of blocks whose points are all valid.

    Args:
        fields: (B, H, W, C) fields.
        valid: Mask of the same shape, 1 for valid values; None if all are valid.
        size: Rows and columns of a block; 1 returns the arguments.
    """
    if size == 1:
        return fields, valid
    means = tf.nn.avg_pool2d(fields, size, size, "VALID")
    if valid is None:
        return means, None
    return means, -tf.nn.max_pool2d(-valid, size, size, "VALID")


def first_differences(fields: Any, valid: Any) -> list[tuple[Any, Any]]:
    """Returns differences between neighbours, each with the mask of differences that are valid.

    Args:
        fields: (B, H, W, C) fields.
        valid: Mask of the same shape, 1 for valid values; None if all are valid.

    Returns:
        Differences along latitude (H − 1 rows) and along longitude (W − 1 columns).
    """
    differences = []
    for after, before in (
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
        ((slice(None), slice(None), slice(1, None)), (slice(None), slice(None), slice(None, -1))),
    ):
        both = None if valid is None else valid[after] * valid[before]
        differences.append((fields[after] - fields[before], both))
    return differences
