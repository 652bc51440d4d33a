"""Weighted means over valid values, and weights by the area of grid cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from phire.errors import InputError
from phire.fields.conservative_maps import cell_areas
from phire.records.schema import SampleSchema


def mean(errors: tf.Tensor, weights: Any) -> tf.Tensor:
    """Returns the weighted mean of all errors, a scalar; 0 if all weights are 0."""
    if weights is None:
        return tf.reduce_mean(errors)
    weights = tf.broadcast_to(tf.cast(weights, errors.dtype), tf.shape(errors))
    return tf.math.divide_no_nan(tf.reduce_sum(errors * weights), tf.reduce_sum(weights))


def mean_over_samples(values: tf.Tensor, weights: Any) -> tf.Tensor:
    """Returns the mean of values per field, weighted by the mean weight of the field's points.

    Args:
        values: One value per field, (B,), or per field and channel, (B, C).
        weights: Weights of the points, (B, H, W, C) or (B, H, W, 1); None for equal weights.
    """
    if weights is None:
        return tf.reduce_mean(values)
    weights = tf.reduce_mean(weights, axis=(1, 2))
    return mean(values, tf.reduce_mean(weights, -1) if values.shape.rank == 1 else weights)


def as_fields(*arrays: Any) -> list[Any]:
    """Reshapes arrays (B, …, H, W, C) to (B', H, W, C), so that steps of a window are samples."""
    return [None if x is None else tf.reshape(x, (-1, *x.shape[-3:])) for x in arrays]


class AreaWeights:
    """Weights of a patch's points by the area of their grid cells; their domain mean is 1.

    Args:
        schema: Schema of the records.

    Raises:
        InputError: The records hold no positions of patches, or their grid has no coordinates.
    """

    def __init__(self, schema: SampleSchema) -> None:
        domain = schema.domain
        if domain is None or "position" not in schema.arrays or not domain.has_points:
            raise InputError(
                "area needs records with positions of patches on a grid with coordinates: make "
                "the records with phire-data from such a grid, or leave it out."
            )
        areas = cell_areas(domain)
        self._areas = (areas / areas.mean()).astype(np.float32)
        self._patch = schema.patch
        self._window = schema.window

    def __call__(self, position: tf.Tensor) -> tf.Tensor:
        """Returns the weights of patches, (B, H, W, 1), or (B, 1, H, W, 1) with a time window.

        Args:
            position: Row and column of each patch's first point in the domain, (B, 2).
        """
        height, width = self._patch
        rows = position[:, :1] + tf.range(height)
        columns = (position[:, 1:] + tf.range(width)) % self._areas.shape[1]
        places = rows[:, :, None] * self._areas.shape[1] + columns[:, None, :]
        weights = tf.gather(tf.constant(self._areas.ravel()), places)[..., None]
        return weights if self._window is None else weights[:, None]
