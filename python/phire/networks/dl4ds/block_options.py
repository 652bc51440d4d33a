"""Options shared by all blocks of a network, and their checks."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from phire.errors import OptionError
from phire.networks.blocks.dropout import check_dropout
from phire.networks.option_checks import check_choice, check_counts

NORMALIZATIONS = ("none", "batch", "layer", "group")
"""Kinds of normalization after a convolution."""
PRESETS = ("none", "dl4ds")
"""Presets: phire's blocks, or those of DL4DS with its numbers of weights."""


@dataclasses.dataclass(frozen=True)
class Style:
    """Options of the blocks of one network.

    Attributes:
        filters: Width of the first convolution.
        blocks: Number of blocks.
        activation: Activation inside the blocks, by its name in Keras.
        normalization: One of :data:`NORMALIZATIONS`.
        attention: Add channel attention at the end of each block.
        dropout: Rate of dropout, in [0, 1).
        dropout_kind: One of :data:`phire.networks.blocks.dropout.KINDS`.
        separable: Use depthwise separable convolutions in the blocks.
        checkerboard_free: Initialize upsampling layers so that they start without checkerboards.
        reference: Build blocks as in DL4DS, with its unused weights.
        kernel: Size of the first convolution, and of the last ones in DL4DS's preset.
        window: Time steps of a sample; None for single fields.
        inputs: Inputs of the network by name; Monte Carlo dropout reads ``seed`` and ``position``.
        step: Fine points per point of the features, along each axis.
        margin: Points of the features before the patch's first point.
        valid: Mask of the first channels of the network's input, for its first convolution; None
            if no value is missing.
        numbers: Counter of the dropout layers; their names determine their random numbers.
    """

    filters: int
    blocks: int
    activation: str = "relu"
    normalization: str = "none"
    attention: bool = False
    dropout: float = 0.0
    dropout_kind: str = "vanilla"
    separable: bool = False
    checkerboard_free: bool = False
    reference: bool = False
    kernel: int = 3
    window: int | None = None
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    step: int = 1
    margin: int = 0
    valid: Any = None
    numbers: Iterator[int] = dataclasses.field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        check_choice("normalization", self.normalization, NORMALIZATIONS)
        check_activation("activation", self.activation)
        check_counts(filters=self.filters, blocks=self.blocks)
        check_dropout(self.dropout, self.dropout_kind)

    def but(self, **changes: Any) -> Style:
        """Returns a copy with changed attributes."""
        return dataclasses.replace(self, **changes)


def check_activation(option: str, value: Any) -> None:
    """Raises an OptionError if Keras has no activation of this name."""
    try:
        known = isinstance(value, str) and callable(keras.activations.get(value))
    except ValueError:
        known = False
    if not known:
        raise OptionError(
            f"{option} {value!r} is unknown: give the name of a Keras activation, such as relu, "
            "elu, gelu, selu, leaky_relu, tanh or linear."
        )
