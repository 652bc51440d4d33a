"""Builder of DL4DS's networks convnet, resnet, densenet and convnext."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from phire.errors import InputError
from phire.networks.blocks.interpolation_layer import METHODS
from phire.networks.blocks.sample_inputs import check_addition, refuse_window
from phire.networks.dl4ds.backbones import BACKBONES, convolutional_backbone
from phire.networks.dl4ds.block_options import PRESETS, Style, check_activation
from phire.networks.dl4ds.convolution_blocks import transition
from phire.networks.dl4ds.frames import (
    conditioned,
    fine_network,
    for_all_frames,
    frames_of,
    inputs_of,
    joined_input,
    maps_of,
    validity_of,
)
from phire.networks.dl4ds.output_module import (
    features_of_maps,
    targets_as_dl4ds,
    targets_of_features,
    with_local_features,
)
from phire.networks.dl4ds.recurrent import RECURRENT_BACKBONES, recurrent_backbone
from phire.networks.dl4ds.upsampling import UPSAMPLINGS, enlarged, enlarged_as_dl4ds, step_factors
from phire.networks.dl4ds.window_reshaping import BatchToTime, TimeToBatch
from phire.networks.option_checks import check_choice
from phire.networks.registry import network
from phire.networks.shapes import Shapes


@network("convnet", backbone="convnet")
@network("resnet", backbone="resnet")
@network("densenet", backbone="densenet")
@network("convnext", backbone="convnext", normalization="layer", activation="gelu")
def dl4ds_network(
    shapes: Shapes,
    *,
    backbone: str = "resnet",
    upsampling: str = "subpixel",
    filters: int = 32,
    blocks: int = 6,
    normalization: str = "none",
    attention: bool = False,
    localized: bool = False,
    dropout: float = 0.0,
    dropout_kind: str = "vanilla",
    activation: str = "relu",
    output_activation: str = "linear",
    add: str = "none",
    add_channels: Sequence[int] | None = None,
    interpolation: str = "bilinear",
    factors: Sequence[int] | None = None,
    separable: bool = False,
    masked: bool = False,
    checkerboard_free: bool = True,
    preset: str = "none",
) -> keras.Model:
    """Builds a convolutional network of DL4DS; with a time window, its recurrent counterpart.

    The network has a first convolution, blocks, a long skip, the upsampling, an optional locally
    connected block, and convolutions to the targets. Fine maps (``static``, ``auxiliary``) enter
    twice: as block means concatenated to ``low``, and at full resolution before the last
    convolutions. The covariates ``time`` scale and shift the first features. With a time window the
    blocks are convolutional LSTMs (not for convnext), and the output has all T frames.

    Args:
        shapes: Shapes of a sample.
        backbone: ``convnet``, ``resnet``, ``densenet`` or ``convnext``; set by the network's name.
        upsampling: ``pre``, which interpolates ``low`` before the first convolution; or
            ``subpixel``, ``resize`` or ``transposed``, after the blocks.
        filters: Width of the blocks; in the preset ``dl4ds`` block i has the width i·filters.
        blocks: Number of blocks; recurrent networks have one more.
        normalization: ``none``, ``batch``, ``layer`` or ``group``, after every convolution of a
            block.
        attention: Add channel attention to every block; the halo is then the whole field.
        localized: Add two channels by a linear layer with weights for each point of the domain; the
            network then reads ``position``.
        dropout: Rate of dropout, in the blocks and after them.
        dropout_kind: ``vanilla``, ``gaussian`` or ``spatial`` for training only; ``mcdrop``,
            ``mcgaussiandrop`` or ``mcspatialdrop`` also for prediction, by the input ``seed``.
        activation: Activation in the network, by its name in Keras.
        output_activation: Activation of the output, such as ``relu`` for precipitation; with
            ``add``, of the sum.
        add: Interpolation of ``low`` to which the output is added: ``none``, ``nearest``,
            ``bilinear`` or ``bicubic``; see
            :func:`phire.networks.blocks.sample_inputs.added_to_interpolated`.
        add_channels: Index of the channel of ``low`` for each target; None for all in order or, if
            their numbers differ, for a learned 1×1 convolution.
        interpolation: Interpolation of ``pre`` and ``resize``: ``nearest``, ``bilinear`` or
            ``bicubic``.
        factors: Factors of the upsampling steps, such as [2, 5]. None for the prime factors of the
            scale, for one step with ``resize``, and for DL4DS's steps with its preset.
        separable: Use depthwise separable convolutions in the blocks.
        masked: Exclude missing values of ``low`` from the first convolution, from interpolations
            and from ``add``, by the input ``low_valid``
            (:mod:`phire.networks.blocks.partial_convolution`). Records without ``low_valid`` have
            no missing values.
        checkerboard_free: Initialize upsampling layers so that all fine points of a coarse point
            start equal; DL4DS does not.
        preset: ``none`` for phire's blocks; ``dl4ds`` for the blocks and parameter counts of DL4DS.
            The latter has attention before the last block, a last block as wide as the number of
            targets, and recurrent networks that read no coarsened maps and predict the first step
            of a window.

    Raises:
        InputError: An option is unknown or does not fit the shapes.
    """
    check_choice("backbone", backbone, BACKBONES)
    check_choice("upsampling", upsampling, UPSAMPLINGS)
    check_choice("interpolation", interpolation, METHODS)
    check_choice("preset", preset, PRESETS)
    check_activation("output_activation", output_activation)
    if backbone not in RECURRENT_BACKBONES:
        refuse_window(shapes, backbone)
    reference = preset == "dl4ds"
    if reference and factors is not None:
        raise InputError("preset=dl4ds fixes the upsampling steps: leave out factors.")
    inputs = inputs_of(shapes, localized, dropout, dropout_kind, masked)
    style = Style(
        filters, blocks, activation, normalization, attention, dropout, dropout_kind, separable,
        checkerboard_free, reference, 7 if backbone == "convnext" else 3,
        shapes.window, inputs, shapes.scale, shapes.margin,
    )  # fmt: skip
    plan = _Plan(
        shapes, backbone, upsampling, localized, interpolation, output_activation, style,
        step_factors(shapes.scale, upsampling, factors),
    )  # fmt: skip
    check_addition(shapes, add, add_channels)
    x = _upsampled(_features(inputs, plan), plan)
    x = (_targets_as_dl4ds if reference else _targets)(x, inputs, plan)
    return fine_network(
        x, inputs, shapes, backbone, add=add, channels=add_channels,
        activation="linear" if reference else output_activation, first_step=reference,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Plan:
    """Checked options of one network."""

    shapes: Shapes
    backbone: str
    upsampling: str
    localized: bool
    interpolation: str
    output_activation: str
    style: Style
    factors: list[int]

    @property
    def fine_style(self) -> Style:
        """Style of blocks on the fine grid."""
        return self.style.but(step=1, margin=self.shapes.margin * self.shapes.scale)


def _features(inputs: dict[str, Any], plan: _Plan) -> Any:
    """Returns the backbone's features of all frames.

    They are on the fine grid if the upsampling is ``pre``, else on the coarse grid.
    """
    window = plan.shapes.window
    x = joined_input(
        inputs, plan.shapes, plan.upsampling, plan.interpolation,
        with_maps=window is None or not plan.style.reference,
    )  # fmt: skip

    def condition(features: Any) -> Any:
        return conditioned(features, inputs, window)

    style = plan.fine_style if plan.upsampling == "pre" else plan.style
    valid = validity_of(inputs, plan.shapes, plan.upsampling)
    if window is None:
        return convolutional_backbone(x, plan.backbone, style.but(valid=valid), condition)
    x = BatchToTime(window)(x)
    valid = None if valid is None else BatchToTime(window)(valid)
    x = recurrent_backbone(x, plan.backbone, style.but(valid=valid), condition)
    return TimeToBatch()(x)


def _upsampled(x: Any, plan: _Plan) -> Any:
    """Upsamples features to the fine grid; those of ``pre`` are unchanged."""
    upsampling, interpolation, style = plan.upsampling, plan.interpolation, plan.style
    if upsampling == "pre":
        return x
    if not style.reference:
        return enlarged(x, upsampling, plan.factors, interpolation, style)
    width, activation = x.shape[-1], "linear"
    if upsampling == "transposed" and style.window is None:
        activation = style.activation
        x = transition(x, style.filters, activation)
    return enlarged_as_dl4ds(
        x, upsampling, plan.shapes.scale, interpolation, style, width, activation
    )


def _with_local_features(x: Any, inputs: dict[str, Any], plan: _Plan) -> Any:
    """Concatenates the features of the locally connected block, if the network has it."""
    if not plan.localized:
        return x
    shapes = plan.shapes
    position = frames_of(inputs, shapes.window)["position"]
    margin = shapes.margin * shapes.scale
    return with_local_features(x, position, shapes.domain, margin, plan.style)


def _with_maps(x: Any, inputs: dict[str, Any], plan: _Plan, filters: int, style: Style) -> Any:
    """Concatenates the features of the fine maps, if there are any."""
    maps = maps_of(inputs, plan.shapes)
    if maps is None:
        return x
    maps = features_of_maps(maps, plan.backbone, filters, style)
    maps = for_all_frames(maps, inputs, plan.shapes.window)
    return keras.layers.Concatenate()([x, maps])


def _targets(x: Any, inputs: dict[str, Any], plan: _Plan) -> Any:
    """Returns the targets before the output activation, (B·T, H, W, Ct)."""
    x = _with_local_features(x, inputs, plan)
    style = plan.fine_style
    x = _with_maps(x, inputs, plan, style.filters, style.but(attention=False))
    return targets_of_features(x, plan.shapes.high[2], style)


def _targets_as_dl4ds(x: Any, inputs: dict[str, Any], plan: _Plan) -> Any:
    """Returns the targets as DL4DS computes them.

    Its recurrent networks concatenate the maps before the local features, the others after them.
    """
    style, targets, activation = plan.fine_style, plan.shapes.high[2], plan.output_activation
    if style.window is None:
        width = x.shape[-1]
        x = _with_local_features(x, inputs, plan)
        x = _with_maps(x, inputs, plan, width, style.but(attention=False))
        return targets_as_dl4ds(x, targets, style.filters, style, activation)
    maps_style = style.but(normalization="none", window=None)
    x = _with_maps(x, inputs, plan, style.filters, maps_style)
    x = _with_local_features(x, inputs, plan)
    narrowed = style.filters if plan.upsampling == "pre" else x.shape[-1] // 2
    return targets_as_dl4ds(x, targets, narrowed, style, activation)
