"""Fair energy scores of an ensemble, as losses: pointwise, of differences, of patches, learned.

The energy score of members x_1 … x_m and truth y is mean |x_i − y| − ½ mean |x_i − x_j| over i ≠ j,
where the second mean is over m·(m − 1) pairs, so that its expectation does not depend on m
(Gneiting and Raftery 2007, doi:10.1198/016214506000001437; Ferro 2014, doi:10.1002/qj.2270). |·|
may be any distance of negative type, such as a norm to a power below 2. Of numbers it is the CRPS.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

Distance = Callable[[Any, Any], Any]
SMALLEST = 1e-12
"""Added to squared norms, whose root has no gradient at 0."""


def fair_energy_score(distance: Distance, truth: Any, members: Sequence[Any]) -> Any:
    """Returns the fair energy score by a distance, of the shape that ``distance`` returns.

    Args:
        distance: ``distance(a, b)`` of two fields.
        truth: The truth.
        members: Two or more members, each of the truth's shape.
    """
    count = len(members)
    error = tf.add_n([distance(x, truth) for x in members]) / count
    pairs = [distance(a, b) for a, b in itertools.combinations(members, 2)]
    return error - tf.add_n(pairs) / (count * (count - 1))


def absolute(a: Any, b: Any) -> Any:
    """Returns |a − b| of each value, of which the score is the CRPS."""
    return tf.abs(a - b)


def patch_distance(size: int, beta: float) -> Distance:
    """Returns the distance of patches: root mean square difference to the power ``beta``.

    Args:
        size: Rows and columns of a patch; patches do not overlap, and what is left over at the
            south and east is not compared.
        beta: Between 0 and 2.
    """

    def distance(a: Any, b: Any) -> Any:
        squares = tf.nn.avg_pool2d(tf.square(a - b), size, size, "VALID")
        return (squares + SMALLEST) ** (beta / 2)

    return distance


def pooled(fields: Any, valid: Any, size: int) -> tuple[Any, Any]:
    """Returns means of blocks (B, H, W, C), and 1 where all points of a block are valid."""
    if size == 1:
        return fields, valid
    means = tf.nn.avg_pool2d(fields, size, size, "VALID")
    if valid is None:
        return means, None
    return means, -tf.nn.max_pool2d(-valid, size, size, "VALID")


def first_differences(fields: Any, valid: Any) -> list[tuple[Any, Any]]:
    """Returns differences of neighbours along rows and columns, with where both are valid."""
    found = []
    for after, before in (
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
        ((slice(None), slice(None), slice(1, None)), (slice(None), slice(None), slice(None, -1))),
    ):
        both = None if valid is None else valid[after] * valid[before]
        found.append((fields[after] - fields[before], both))
    return found
