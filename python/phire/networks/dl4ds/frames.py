"""Conversion of a sample's inputs to single frames, and of frames to the network's output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from phire.errors import InputError
from phire.networks.blocks.dropout import dropout_inputs
from phire.networks.blocks.fine_output import Fine
from phire.networks.blocks.interpolation_layer import Interpolation
from phire.networks.blocks.partial_convolution import PartialInterpolation
from phire.networks.blocks.receptive_field import halo_of_graph
from phire.networks.blocks.sample_inputs import (
    EdgePadding,
    added_to_interpolated,
    fine_maps,
    named_inputs,
    scaled_and_shifted_by_time,
    with_fine_maps_coarsened,
    without_margin,
)
from phire.networks.dl4ds.convolution_blocks import activated
from phire.networks.dl4ds.window_reshaping import BatchToTime, RepeatOverTime, TimeToBatch
from phire.networks.shapes import Shapes


def inputs_of(
    shapes: Shapes,
    localized: bool,
    dropout: float = 0.0,
    dropout_kind: str = "vanilla",
    masked: bool = False,
) -> dict[str, Any]:
    """Returns the Keras inputs for fields of any size, by their names in a sample.

    Args:
        shapes: Shapes of a sample.
        localized: True for a network with weights for each point of the domain.
        dropout, dropout_kind: Rate and kind of dropout.
        masked: True for a network that reads ``low_valid``.

    Raises:
        InputError: ``localized`` is set, but the shapes have no domain.
    """
    if localized and shapes.domain is None:
        raise InputError(
            "localized needs the domain, rows and columns of the whole fine grid: give domain=, or "
            "use records that state it."
        )
    inputs = named_inputs(shapes.of_any_size(), position=localized, low_valid=masked)
    return inputs | dropout_inputs(dropout, dropout_kind)


def frames_of(inputs: dict[str, Any], window: int | None) -> dict[str, Any]:
    """Returns the inputs with time steps as samples, (B·T, …); unchanged without a window."""
    if window is None:
        return inputs
    sequences = ("low", "low_valid", "auxiliary")
    return {
        name: TimeToBatch()(x) if name in sequences else RepeatOverTime(window)(x)
        for name, x in inputs.items()
    }


def maps_of(inputs: dict[str, Any], shapes: Shapes) -> Any:
    """Concatenates the inputs on the fine grid, padded over the margin.

    Returns:
        Maps, (B, H, W, C), or (B·T, H, W, C) if predictors in time are among them; None without
        fine inputs.
    """
    frames = frames_of(inputs, shapes.window) if "auxiliary" in inputs else inputs
    maps = fine_maps(frames)
    if not maps:
        return None
    x = maps[0] if len(maps) == 1 else keras.layers.Concatenate()(maps)
    margin = shapes.margin * shapes.scale
    return EdgePadding(margin)(x) if margin else x


def for_all_frames(x: Any, inputs: dict[str, Any], window: int | None) -> Any:
    """Repeats features of static maps for all frames of a window, if they have no time axis."""
    return x if window is None or "auxiliary" in inputs else RepeatOverTime(window)(x)


def joined_input(
    inputs: dict[str, Any], shapes: Shapes, upsampling: str, interpolation: str, with_maps: bool
) -> Any:
    """Returns the frames that a backbone reads, on the coarse grid or, with ``pre``, interpolated.

    Args:
        inputs: Inputs of the network by name.
        shapes: Shapes of a sample.
        upsampling: Upsampling of the network; ``pre`` interpolates ``low`` to the fine grid.
        interpolation: Method of interpolation for ``pre``.
        with_maps: Concatenate the fine maps: their block means, or with ``pre`` the maps
            themselves.
    """
    frames = frames_of(inputs, shapes.window)
    if upsampling != "pre":
        return with_fine_maps_coarsened(frames, shapes) if with_maps else frames["low"]
    x = frames["low"]
    if shapes.scale > 1 and "low_valid" in frames:
        x = PartialInterpolation(shapes.scale, interpolation)(x, frames["low_valid"])
    elif shapes.scale > 1:
        x = Interpolation(shapes.scale, interpolation)(x)
    maps = maps_of(inputs, shapes) if with_maps else None
    if maps is None:
        return x
    return keras.layers.Concatenate()([x, for_all_frames(maps, inputs, shapes.window)])


def validity_of(inputs: dict[str, Any], shapes: Shapes, upsampling: str) -> Any:
    """Returns the mask of present values of ``low`` on the grid that a backbone reads.

    With ``pre``, fine points have the mask of their coarse point. It is None without the input
    ``low_valid``.
    """
    if "low_valid" not in inputs:
        return None
    valid = frames_of({"low_valid": inputs["low_valid"]}, shapes.window)["low_valid"]
    fine = upsampling == "pre" and shapes.scale > 1
    return Interpolation(shapes.scale, "nearest")(valid) if fine else valid


def conditioned(x: Any, inputs: dict[str, Any], window: int | None) -> Any:
    """Scales and shifts features by the time covariates, (B, H, W, C) or (B, T, H, W, C)."""
    if window is None or "time" not in inputs:
        return scaled_and_shifted_by_time(x, inputs)
    x = scaled_and_shifted_by_time(TimeToBatch()(x), frames_of(inputs, window))
    return BatchToTime(window)(x)


def fine_network(
    x: Any,
    inputs: dict[str, Any],
    shapes: Shapes,
    name: str,
    *,
    add: str = "none",
    channels: Sequence[int] | None = None,
    activation: str = "linear",
    first_step: bool = False,
) -> keras.Model:
    """Builds the model: crops the margin, adds the interpolated input, declares the halo.

    Args:
        x: Targets of all frames, with the margin.
        inputs: Inputs of the network by name.
        shapes: Shapes of a sample.
        name: Name of the model.
        add, channels: Method and channels of
            :func:`phire.networks.blocks.sample_inputs.added_to_interpolated`.
        activation: Activation of the sum.
        first_step: See :class:`phire.networks.blocks.fine_output.Fine`.
    """
    x = without_margin(x, shapes.margin * shapes.scale)
    coarse = {name: inputs[name] for name in ("low", "low_valid") if name in inputs}
    low = frames_of(coarse, shapes.window)
    x = added_to_interpolated(x, low, shapes, add, channels)
    x = activated(x, activation)
    if shapes.window is not None:
        x = BatchToTime(shapes.window)(x)
    halo = halo_of_graph(inputs, x, shapes.scale, shapes.window)
    return keras.Model(inputs, Fine(halo, first_step)(x), name=name)
