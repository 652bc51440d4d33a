"""FSRCNN: a small network that works on the coarse grid and upsamples once, at its end.

Source: Dong et al. 2016, arXiv:1608.00367.
"""

from __future__ import annotations

import math
from typing import Any

import keras

from phire.networks.blocks.fine_output import Fine
from phire.networks.blocks.sample_inputs import (
    added_to_interpolated,
    fine_maps,
    named_inputs,
    refuse_window,
    scaled_and_shifted_by_time,
    with_fine_maps_coarsened,
    without_margin,
)
from phire.networks.option_checks import check_counts
from phire.networks.registry import network
from phire.networks.shapes import Shapes
from phire.networks.swin import last_convolutions

LAST_KERNEL = 9
"""Size of the transposed convolution that upsamples."""


@network("fsrcnn")
def fsrcnn(
    shapes: Shapes,
    *,
    filters: int = 56,
    narrow: int = 12,
    blocks: int = 4,
    add: str = "none",
) -> keras.Model:
    """Builds FSRCNN.

    Its layers are a 5×5 convolution, a 1×1 convolution to fewer channels, several 3×3 convolutions,
    a 1×1 convolution back to more channels, and a 9×9 transposed convolution. Block means of static
    and auxiliary maps are concatenated to the coarse input; the maps themselves are concatenated to
    the upsampled features, before two more convolutions. Time covariates scale and shift the first
    features.

    Args:
        shapes: Shapes of a sample, without a time window.
        filters: Width of the first and the last features.
        narrow: Width of the 3×3 convolutions.
        blocks: Number of 3×3 convolutions.
        add: Interpolation of ``low`` to which the output is added: none, nearest, bilinear or
            bicubic.

    Raises:
        InputError: An option is out of range, or the records have a time window.
    """
    refuse_window(shapes, "fsrcnn")
    check_counts(filters=filters, narrow=narrow)
    check_counts(0, blocks=blocks)
    inputs = named_inputs(shapes)
    x = with_fine_maps_coarsened(inputs, shapes)
    x = scaled_and_shifted_by_time(_activated(x, filters, 5, "first"), inputs)
    x = _activated(x, narrow, 1, "narrow")
    for i in range(blocks):
        x = _activated(x, narrow, 3, f"mapping{i}")
    x = _activated(x, filters, 1, "wide")
    # Without maps the transposed convolution outputs the targets, as published.
    joined = bool(fine_maps(inputs))
    width = narrow if joined else shapes.high[2]
    x = keras.layers.Conv2DTranspose(
        width, LAST_KERNEL, shapes.scale, padding="same", name="enlarged"
    )(x)
    x = without_margin(x, shapes.margin * shapes.scale)
    if joined:
        x = last_convolutions(x, inputs, shapes, narrow)
    x = added_to_interpolated(x, inputs, shapes, add)
    reach = LAST_KERNEL // 2 + 2 * joined
    halo = max(2 + blocks + math.ceil(reach / shapes.scale), 2)
    return keras.Model(inputs, Fine(halo)(x), name="fsrcnn")


def _activated(x: Any, filters: int, kernel: int, name: str) -> Any:
    """Adds a convolution with PReLU."""
    x = keras.layers.Conv2D(filters, kernel, padding="same", name=name)(x)
    return keras.layers.PReLU(shared_axes=(1, 2), name=f"{name}_prelu")(x)
