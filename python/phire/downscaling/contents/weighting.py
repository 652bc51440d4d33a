"""Weighted means: over valid values, and by the area of grid cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from phire.errors import InputError
from phire.fields.conservative_maps import cell_areas
from phire.records.schema import SampleSchema


def mean(errors: tf.Tensor, weights: Any) -> tf.Tensor:
    """Returns the weighted mean of errors of any shape; 0 where all weights are 0."""
    if weights is None:
        return tf.reduce_mean(errors)
    weights = tf.broadcast_to(tf.cast(weights, errors.dtype), tf.shape(errors))
    return tf.math.divide_no_nan(tf.reduce_sum(errors * weights), tf.reduce_sum(weights))


def mean_over_samples(values: tf.Tensor, weights: Any) -> tf.Tensor:
    """Returns the mean of one value a field, each weighted by its points' mean weight.

    Args:
        values: (B,) or (B, C).
        weights: (B, H, W, C) or (B, H, W, 1); None for equal ones.
    """
    if weights is None:
        return tf.reduce_mean(values)
    weights = tf.reduce_mean(weights, axis=(1, 2))
    return mean(values, tf.reduce_mean(weights, -1) if values.shape.rank == 1 else weights)


def as_fields(*arrays: Any) -> list[Any]:
    """Returns arrays (B, …, H, W, C) as fields (B', H, W, C): a window's steps become samples."""
    return [None if x is None else tf.reshape(x, (-1, *x.shape[-3:])) for x in arrays]


class AreaWeights:
    """Areas of a patch's grid cells, by its place in the domain; their mean over the domain is 1.

    Args:
        schema: Schema of the records.

    Raises:
        InputError: The records state no places, or their grid has no coordinates.
    """

    def __init__(self, schema: SampleSchema) -> None:
        domain = schema.domain
        if domain is None or "position" not in schema.arrays or not domain.has_points:
            raise InputError(
                "area needs records that state the places of their patches on a grid with "
                "coordinates: make them with phire-data of such a grid, or leave it out."
            )
        areas = cell_areas(domain)
        self._areas = (areas / areas.mean()).astype(np.float32)
        self._patch = schema.patch
        self._window = schema.window

    def __call__(self, position: tf.Tensor) -> tf.Tensor:
        """Returns (B, H, W, 1) weights, with a window (B, 1, H, W, 1).

        Args:
            position: (B, 2) row and column of each patch's first point.
        """
        height, width = self._patch
        rows = position[:, :1] + tf.range(height)
        columns = (position[:, 1:] + tf.range(width)) % self._areas.shape[1]
        places = rows[:, :, None] * self._areas.shape[1] + columns[:, None, :]
        weights = tf.gather(tf.constant(self._areas.ravel()), places)[..., None]
        return weights if self._window is None else weights[:, None]
