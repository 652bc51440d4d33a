"""Residual discriminator of DL4DS, conditioned on the coarse field."""

from __future__ import annotations

from typing import Any

import keras

from phire.networks.blocks.interpolation_layer import Interpolation
from phire.networks.blocks.sample_inputs import (
    fine_maps,
    named_inputs,
    prime_factors,
    with_fine_maps_coarsened,
    without_margin,
)
from phire.networks.dl4ds.block_options import PRESETS, Style
from phire.networks.dl4ds.convolution_blocks import residual_block
from phire.networks.dl4ds.frames import frames_of, maps_of
from phire.networks.dl4ds.recurrent import recurrent_block
from phire.networks.dl4ds.window_reshaping import BatchToTime, TimeToBatch
from phire.networks.option_checks import check_choice, check_share
from phire.networks.registry import discriminator
from phire.networks.shapes import Shapes

GRIDS = ("coarse", "fine")
"""Grids on which the branches can meet; see :func:`residual_discriminator`."""


@discriminator("residual")
def residual_discriminator(
    shapes: Shapes,
    masked: bool = False,
    *,
    filters: int = 32,
    blocks: int = 4,
    grid: str = "coarse",
    attention: bool = False,
    normalization: str = "none",
    dropout: float = 0.4,
    preset: str = "none",
) -> keras.Model:
    """Builds DL4DS's discriminator of fine fields, given their coarse fields.

    The coarse branch has a 3×3 convolution, residual blocks, a 3×3 convolution and a skip from the
    first. The fine branch has a 3×3 convolution, residual blocks and strided convolutions to the
    coarse grid. Both are concatenated and pass a residual block, the mean over the field, dropout,
    a dense layer of 32 sigmoids and a dense layer to one logit. With a time window the coarse
    branch starts with a recurrent block, and the mean is also over time.

    Args:
        shapes: Shapes of a sample.
        masked: Read the mask ``valid`` as further channels.
        filters: Width of the branches.
        blocks: Residual blocks of each branch.
        grid: Grid on which the branches meet: ``coarse``; or ``fine``, to which ``low`` is then
            interpolated (DL4DS's choice for networks with ``upsampling=pre``).
        attention: Add channel attention to the blocks.
        normalization: ``none``, ``layer`` or ``group``; the objectives refuse ``batch``, which
            mixes the fields of a batch.
        dropout: Rate of dropout before the last two layers.
        preset: ``none``, where fine maps enter both branches; or ``dl4ds``, where they enter the
            coarse branch only, and the fine branch is averaged over blocks at scales other than 4.

    Returns:
        A model named ``discriminator`` with the inputs ``fine``, ``low``, the fine maps and, if
        masked, ``valid``. Its outputs are logits (B, 1), float32.

    Raises:
        InputError: An option is unknown.
    """
    check_choice("grid", grid, GRIDS)
    check_choice("preset", preset, PRESETS)
    check_share(dropout=dropout)
    style = Style(filters, blocks, "relu", normalization, attention, window=shapes.window)
    steps = () if shapes.window is None else (shapes.window,)
    inputs = named_inputs(shapes)
    inputs.pop("time", None)
    for name in ("fine", "valid") if masked else ("fine",):
        inputs[name] = keras.Input((*steps, *shapes.high), name=name)
    frames = frames_of(inputs, shapes.window)
    for name in {"fine", "valid"} & set(inputs) if steps else ():
        frames[name] = TimeToBatch()(inputs[name])
    coarse = _coarse_branch(inputs, frames, shapes, grid, style)
    fine = _fine_branch(frames, shapes, grid, style, preset)
    x = keras.layers.Concatenate()([coarse, fine])
    x = residual_block(x, 2 * filters, style)
    x = keras.layers.GlobalAveragePooling2D()(x)
    if steps:
        x = keras.layers.GlobalAveragePooling1D()(BatchToTime(shapes.window)(x))
    x = keras.layers.Dropout(dropout)(x)
    x = keras.layers.Dense(32, activation="sigmoid")(x)
    logits = keras.layers.Dense(1, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="discriminator")


def _coarse_branch(
    inputs: dict[str, Any], frames: dict[str, Any], shapes: Shapes, grid: str, style: Style
) -> Any:
    """Returns features of ``low`` and the fine maps on the common grid, without the margin."""
    border = shapes.margin
    if grid == "coarse":
        x = with_fine_maps_coarsened(frames, shapes)
    else:
        x, border = Interpolation(shapes.scale, "bilinear")(frames["low"]), border * shapes.scale
        maps = maps_of(inputs, shapes)
        if maps is not None:
            maps = maps if style.window is None or "auxiliary" in inputs else _repeated(maps, style)
            x = keras.layers.Concatenate()([x, maps])
    if style.window is None:
        first = keras.layers.Conv2D(style.filters, 3, padding="same")(x)
    else:
        x = BatchToTime(style.window)(x)
        first = TimeToBatch()(recurrent_block(x, style.filters, style.but(normalization="layer")))
    return without_margin(_with_skip(first, style), border)


def _repeated(maps: Any, style: Style) -> Any:
    """Repeats static maps for all frames of the window."""
    return frames_of({"static": maps}, style.window)["static"]


def _fine_branch(
    frames: dict[str, Any], shapes: Shapes, grid: str, style: Style, preset: str
) -> Any:
    """Returns features of the fine fields on the common grid."""
    x = [frames[name] for name in ("fine", "valid") if name in frames]
    if preset != "dl4ds":
        x += fine_maps(frames)
    x = x[0] if len(x) == 1 else keras.layers.Concatenate()(x)
    first = keras.layers.Conv2D(style.filters, 3, padding="same")(x)
    if grid == "fine":
        return _with_skip(first, style)
    x = _residual_blocks(first, style)
    if preset == "dl4ds" and shapes.scale != 4:
        return keras.layers.AveragePooling2D(shapes.scale)(x)
    for factor in prime_factors(shapes.scale):
        x = keras.layers.Conv2D(style.filters, 3, factor, padding="same")(x)
    return x


def _with_skip(first: Any, style: Style) -> Any:
    """Adds residual blocks and a 3×3 convolution, with a skip around them."""
    x = _residual_blocks(first, style)
    x = keras.layers.Conv2D(style.filters, 3, padding="same")(x)
    return keras.layers.Add()([x, first])


def _residual_blocks(x: Any, style: Style) -> Any:
    """Adds the residual blocks of a branch."""
    for _ in range(style.blocks):
        x = residual_block(x, style.filters, style)
    return x
