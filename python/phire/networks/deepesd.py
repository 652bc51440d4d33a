"""DeepESD: convolutions on the whole coarse field, then a linear layer to all fine points.

Source: Baño-Medina et al. 2020 (doi:10.5194/gmd-13-2109-2020) and 2022
(doi:10.5194/gmd-15-6747-2022).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from phire.errors import InputError, OptionError
from phire.networks.blocks.fine_output import Fine
from phire.networks.blocks.sample_inputs import (
    named_inputs,
    refuse_window,
    scaled_and_shifted_by_time,
    with_fine_maps_coarsened,
)
from phire.networks.option_checks import check_counts
from phire.networks.registry import network
from phire.networks.shapes import FixedSizeError, Shapes


@network("deepesd")
def deepesd(
    shapes: Shapes,
    *,
    filters: Sequence[int] = (50, 25, 10),
    kernel: int = 3,
    padding: str = "same",
    points: Sequence[int] | None = None,
) -> keras.Model:
    """Builds DeepESD: convolutions with ReLU, then a dense layer with weights for each fine point.

    It reads the whole coarse domain with its margin and outputs the whole fine domain. Block means
    of static and auxiliary maps are concatenated to the coarse input; time covariates scale and
    shift the first features.

    Args:
        shapes: Shapes of a sample of fixed size, without a time window.
        filters: Width of each convolution.
        kernel: Size of the convolutions.
        padding: Padding of the convolutions, ``same`` (zeros) or ``valid`` (none).
        points: Flat indices (row · W + column) of the fine points to predict; the others are zero
            and have no weights. None for all points.

    Raises:
        InputError: The records hold patches or fields of no fixed size, or have a time window; or
            an option is out of range.
    """
    refuse_window(shapes, "deepesd")
    _check(shapes, filters, kernel, padding, points)
    height, width, targets = shapes.high
    inputs = named_inputs(shapes)
    x = with_fine_maps_coarsened(inputs, shapes)
    for i, count in enumerate(filters):
        x = keras.layers.Conv2D(count, kernel, padding=padding, name=f"conv{i}")(x)
        x = scaled_and_shifted_by_time(x, inputs) if i == 0 else x
        x = keras.layers.ReLU()(x)
    count = height * width if points is None else len(points)
    x = keras.layers.Dense(count * targets, name="points")(keras.layers.Flatten()(x))
    x = keras.layers.Reshape((count, targets))(x)
    if points is None:
        x = keras.layers.Reshape((height, width, targets))(x)
    else:
        x = AtPoints(points, height, width)(x)
    return keras.Model(inputs, Fine(None)(x), name="deepesd")


def _check(
    shapes: Shapes,
    filters: Sequence[int],
    kernel: int,
    padding: str,
    points: Sequence[int] | None,
) -> None:
    """Raises an InputError if the records hold no whole fields or an option is out of range."""
    check_counts(filters=filters, kernel=kernel)
    fine = shapes.high[:2]
    if None in (*fine, *shapes.low[:2]):
        raise FixedSizeError(
            "network deepesd has weights for every point, so it needs records of whole fields: "
            "make them with --whole-fields."
        )
    if shapes.domain not in (None, fine):
        raise InputError(
            f"network deepesd has weights for every point of the domain {shapes.domain}, but the "
            f"records hold patches of {fine}: make them with --whole-fields."
        )
    if padding not in ("same", "valid"):
        raise OptionError(f"padding {padding!r} must be same or valid.")
    lost = len(filters) * (kernel - 1) if padding == "valid" else 0
    if min(shapes.low[:2]) <= lost:
        raise InputError(
            f"deepesd with {len(filters)} convolutions of {kernel} points and padding {padding} "
            f"need a coarse field larger than {shapes.low[:2]}: choose padding same, or fewer or "
            "smaller convolutions."
        )
    if points is not None and (
        not len(points) or min(points) < 0 or max(points) >= math.prod(fine)
    ):
        raise OptionError(
            f"points must be at least one of the indices from 0 to {math.prod(fine) - 1}."
        )


@keras.saving.register_keras_serializable(package="phire")
class AtPoints(keras.layers.Layer):
    """Places values of single points, (B, n, C), in fields of zeros, (B, H, W, C).

    Args:
        points: Flat index (row · W + column) of each point.
        height, width: Rows H and columns W of the fields.
    """

    def __init__(self, points: Sequence[int], height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.points = [int(point) for point in points]
        self.height = height
        self.width = width
        # Index of the value at each point of the field; n stands for the zero that call() appends.
        self._source = np.full(height * width, len(self.points), "int32")
        self._source[self.points] = np.arange(len(self.points))

    def call(self, inputs: Any) -> Any:
        """Transforms (B, n, C) → (B, H, W, C)."""
        values = ops.pad(inputs, [[0, 0], [0, 1], [0, 0]])
        fields = ops.take(values, self._source, axis=1)
        return ops.reshape(fields, (-1, self.height, self.width, inputs.shape[-1]))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (B, H, W, C)."""
        return input_shape[0], self.height, self.width, input_shape[-1]

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        given = {"points": self.points, "height": self.height, "width": self.width}
        return {**super().get_config(), **given}
