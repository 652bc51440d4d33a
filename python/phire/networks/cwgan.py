"""Critic of a conditional Wasserstein GAN, with a patch head and a global head."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import keras
from keras import layers, ops

from phire.errors import InputError, OptionError
from phire.networks.blocks.interpolation_layer import Interpolation
from phire.networks.blocks.sample_inputs import (
    fine_maps,
    named_inputs,
    refuse_window,
    without_margin,
)
from phire.networks.registry import discriminator
from phire.networks.shapes import Shapes
from phire.networks.unet.levels import Levels

HEADS = ("global", "patch")


@keras.saving.register_keras_serializable(package="phire")
class CutIntoTiles(keras.layers.Layer):
    """Cuts fields (B, H, W, C) into tiles × tiles parts of equal size, each a separate sample.

    Args:
        tiles: Tiles along each side, a divisor of H and W.
    """

    def __init__(self, tiles: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tiles = tiles

    def call(self, inputs: Any) -> Any:
        """Transforms (B, H, W, C) → (B·tiles², H/tiles, W/tiles, C), tiles in row-major order."""
        height, width, channels = inputs.shape[1:]
        n = self.tiles
        x = ops.reshape(inputs, (-1, n, height // n, n, width // n, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, height // n, width // n, channels))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (None, H/tiles, W/tiles, C)."""
        _, height, width, channels = input_shape
        return None, height // self.tiles, width // self.tiles, channels

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "tiles": self.tiles}


@keras.saving.register_keras_serializable(package="phire")
class MeanOfTiles(keras.layers.Layer):
    """Mean over all values of a sample's tiles: (B·tiles², h, w, 1) → (B, 1).

    Args:
        tiles: Tiles along each side.
    """

    def __init__(self, tiles: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tiles = tiles

    def call(self, inputs: Any) -> Any:
        """Averages a batch."""
        height, width, _ = inputs.shape[1:]
        values = ops.reshape(inputs, (-1, self.tiles**2 * height * width))
        return ops.mean(values, axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (B, 1)."""
        return None, 1

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "tiles": self.tiles}


@discriminator("cwgan-small", filters=16, dense=(32, 16))
@discriminator("cwgan")
def cwgan_critic(
    shapes: Shapes,
    masked: bool = False,
    *,
    filters: int = 128,
    dense: Sequence[int] = (256, 128),
    tiles: int = 4,
    heads: Sequence[str] = HEADS,
) -> keras.Model:
    """Builds a critic of fine fields given their conditions, with two heads.

    Field and conditions on the fine grid pass a 3×3 convolution and two residual blocks. The head
    ``patch`` cuts these features into tiles, halves them twice, and computes a map of values of
    each tile by a 3×3 convolution. The head ``global`` pools the features three times and computes
    one value by dense layers. The output is the global value plus the mean of the patch values. At
    128 × 128 points with one target and 14 conditions it has 1,891,587 parameters, as the published
    CWGAN for precipitation.

    Args:
        shapes: Shapes of a sample; the size of the fine patches must be known.
        masked: Read the mask ``valid`` as further channels.
        filters: Channels of all convolutions.
        dense: Widths of the global head's dense layers.
        tiles: Tiles of the patch head along each side.
        heads: Heads to use, ``global``, ``patch`` or both.

    Returns:
        A model named ``discriminator`` with the inputs ``fine``, ``low``, the fine maps and, if
        masked, ``valid``. Its output is (B, 1), float32.

    Raises:
        InputError: The size of the patches is unknown or too small, the records have a time window,
            or a head is unknown.
    """
    refuse_window(shapes, "cwgan's critic")
    if not heads or {*heads} - {*HEADS}:
        raise OptionError(f"heads={list(heads)} must be some of {', '.join(HEADS)}.")
    _check_size(shapes, tiles, heads)
    inputs = named_inputs(shapes)
    inputs.pop("time", None)
    for name in ("fine", "valid") if masked else ("fine",):
        inputs[name] = keras.Input(shapes.high, name=name)
    low = Interpolation(shapes.scale, "bilinear", name="low_interpolated")(inputs["low"])
    low = without_margin(low, shapes.margin * shapes.scale)
    judged = [inputs[name] for name in ("fine", "valid") if name in inputs]
    x = layers.Concatenate(name="joined")([*judged, low, *fine_maps(inputs)])
    options = SimpleNamespace(
        normalization="group", groups=32, epsilon=1e-5, activation="leaky_relu", dropout=0.0,
        zero_init=False, half_variance=False, scale_shift=False, resample_projection=False,
    )  # fmt: skip
    blocks = Levels(options, [filters], frozenset(), None, None)
    x = blocks.convolution(x, filters, 0, "first_convolution")
    for block in range(2):
        x = blocks.residual(x, filters, 0, f"block_{block}")
    values = []
    if "global" in heads:
        values.append(_global_value(blocks, x, filters, dense))
    if "patch" in heads:
        values.append(_patch_value(blocks, x, filters, tiles))
    value = values[0] if len(values) == 1 else layers.Add(name="value", dtype="float32")(values)
    return keras.Model(inputs, value, name="discriminator")


def _check_size(shapes: Shapes, tiles: int, heads: Sequence[str]) -> None:
    """Raises an InputError if the size of the patches is unknown or too small for the heads."""
    if None in shapes.high:
        raise InputError("the critic needs patches of fixed size: sample with --patch.")
    height, width, _ = shapes.high
    # 12 points become 3 by two halvings, the smallest size for a 3×3 convolution without padding.
    fits = tiles >= 1 and not height % tiles and not width % tiles
    if "patch" in heads and not (fits and min(height, width) // tiles >= 12):
        raise InputError(
            f"critic cwgan,tiles={tiles} must cut patches of {height} × {width} points into equal "
            "tiles of at least 12 points a side: choose fewer tiles, or larger patches."
        )
    if min(height, width) < 8:
        raise InputError(
            f"critic cwgan needs patches of at least 8 points a side, not {height} × {width}: make "
            "larger patches."
        )


def _global_value(blocks: Levels, x: Any, filters: int, dense: Sequence[int]) -> Any:
    """Adds the global head, (B, H, W, C) → (B, 1)."""
    for block in range(2):
        x = blocks.residual(x, filters, 0, f"global_block_{block}")
        x = layers.MaxPooling2D(2, name=f"global_pooling_{block}")(x)
    x = blocks.activated(layers.Conv2D(1, 1, name="global_projection")(x), "global_projection")
    x = layers.Flatten()(layers.MaxPooling2D(2, name="global_pooling_2")(x))
    for number, units in enumerate(dense):
        x = blocks.activated(layers.Dense(units, name=f"dense_{number}")(x), f"dense_{number}")
    return layers.Dense(1, dtype="float32", name="global_value")(x)


def _patch_value(blocks: Levels, x: Any, filters: int, tiles: int) -> Any:
    """Adds the patch head, (B, H, W, C) → (B, 1)."""
    x = CutIntoTiles(tiles, name="tiles")(x)
    for block in range(2):
        halved = layers.AveragePooling2D(2, name=f"patch_pooling_{block}")
        x = blocks.residual(x, filters, 0, f"patch_block_{block}", halved)
    x = layers.Conv2D(1, 3, dtype="float32", name="patch_values")(x)
    return MeanOfTiles(tiles, dtype="float32", name="patch_value")(x)
