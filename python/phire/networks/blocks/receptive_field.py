"""Halo of a convolutional network, computed exactly from its Keras graph."""

from __future__ import annotations

import dataclasses
import graphlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from phire.networks.blocks.interpolation_layer import REACH, Interpolation, phase_weights

FINE_INPUTS = ("static", "auxiliary", "noise", "noisy")
"""Names of a sample's inputs on the fine grid."""
POINTWISE = {
    "Activation",
    "Add",
    "BatchNormalization",
    "BatchToTime",
    "Concatenate",
    "Cropping2D",
    "Dense",
    "Dropout",
    "EdgePadding",
    "Fine",
    "GaussianDropout",
    "GetItem",
    "LayerNormalization",
    "LocallyConnected",
    "MonteCarloDropout",
    "Multiply",
    "RepeatOverTime",
    "Reshape",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Subtract",
    "Take",
    "TimeToBatch",
    "UnusedNormalization",
}
"""Operations that move no information between points. Padding and cropping belong to them, because
they add or remove whole coarse points and positions are relative to the patch."""
GLOBAL = {"GlobalAveragePooling2D", "GroupNormalization", "Mean", "PadToMultiple"}
"""Operations that make points depend on the whole field or, for ``PadToMultiple`` before pooling,
on the position of the field's edges."""

Call = tuple[str, int]
"""A call of an operation in a graph: the operation's name, and the number of the call."""

WITH_VALIDITY = {"ConvolutionalLSTM", "PartialConv2D", "PartialInterpolation"}
"""Operations that also read the mask of present values."""


@dataclasses.dataclass(frozen=True)
class Dependence:
    """Range of coarse points on which the points of a tensor depend, along one axis.

    Attributes:
        first, last: First and last coarse point on which a point depends, relative to its own
            coarse point; one entry for each of the r points that the tensor has per coarse point.
        recurrent: Largest reach of the recurrent convolutions so far, in points of the tensor.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    recurrent: int = 0

    def gathered(self, offsets: list[range]) -> Dependence:
        """Returns the dependence of points that read other points at given offsets.

        Args:
            offsets: For each of the r points of a coarse point, the offsets that it reads.
        """
        r = len(self.first)
        reads = [[divmod(i + offset, r) for offset in offsets[i]] for i in range(r)]
        return dataclasses.replace(
            self,
            first=tuple(min((c + self.first[q] for c, q in one), default=0) for one in reads),
            last=tuple(max((c + self.last[q] for c, q in one), default=0) for one in reads),
        )

    def convolved(self, before: int, after: int) -> Dependence:
        """Returns the dependence after a convolution.

        Args:
            before, after: Points that the convolution reads on each side.
        """
        return self.gathered([range(-before, after + 1)] * len(self.first))

    def recurring(self, reach: int, steps: int) -> Dependence:
        """Returns the dependence after a recurrent convolution that was applied ``steps`` times.

        A path through several recurrent layers advances each time step in only one of them, so the
        largest reach counts for all steps.
        """
        further = max(0, reach - self.recurrent) * steps
        return dataclasses.replace(
            self.convolved(further, further), recurrent=max(reach, self.recurrent)
        )

    def enlarged(self, offsets: list[range]) -> Dependence:
        """Returns the dependence after an upsampling by s = len(offsets).

        Args:
            offsets: For each of the s new points per point, the offsets that it reads.
        """
        parts = [self.gathered([one] * len(self.first)) for one in offsets]
        pairs = range(len(self.first))
        return Dependence(
            tuple(part.first[q] for q in pairs for part in parts),
            tuple(part.last[q] for q in pairs for part in parts),
        )

    def pooled(self, size: int) -> Dependence:
        """Returns the dependence after an average over blocks of ``size`` points."""
        starts = range(0, len(self.first), size)
        return Dependence(
            tuple(min(self.first[q : q + size]) for q in starts),
            tuple(max(self.last[q : q + size]) for q in starts),
        )

    def joined(self, other: Dependence) -> Dependence:
        """Returns the union of two dependences."""
        return Dependence(
            tuple(map(min, self.first, other.first)),
            tuple(map(max, self.last, other.last)),
            max(self.recurrent, other.recurrent),
        )


class _WholeField(Exception):
    """Signal that the output depends on the whole field."""


def halo_of_graph(
    inputs: Mapping[str, Any], output: Any, scale: int, window: int | None = None
) -> int | None:
    """Computes the halo of the output of a Keras graph, in coarse points.

    Args:
        inputs: Inputs of the graph, by their names in a sample.
        output: Output tensor on the fine grid.
        scale: Fine points per coarse point, along each axis.
        window: Time steps of recurrent layers; None if there are none.

    Returns:
        The halo; None if the output depends on the whole field.

    Raises:
        ValueError: The reach of an operation in the graph is unknown.
    """
    graph = keras.Model(dict(inputs), output)
    operations = {operation.name: operation for operation in graph.operations}
    configuration = graph.get_config()
    dependences: dict[Call, Dependence | None] = {}
    for name, (operation, *_) in configuration["input_layers"].items():
        points = scale if name in FINE_INPUTS else 1
        spatial = name in ("low", "low_valid") or name in FINE_INPUTS
        dependences[operation, 0] = Dependence((0,) * points, (0,) * points) if spatial else None
    calls = calls_of(configuration)
    try:
        for call in graphlib.TopologicalSorter(calls).static_order():
            if call not in dependences:
                given = [dependences[before] for before in calls[call]]
                present = [one for one in given if one is not None]
                dependences[call] = _after(operations[call[0]], present, window)
    except _WholeField:
        return None
    end = dependences[tuple(configuration["output_layers"][:2])]
    return max(-min(end.first), max(end.last))


def calls_of(configuration: Mapping[str, Any]) -> dict[Call, list[Call]]:
    """Returns the calls of a graph's operations, each with the calls whose outputs it reads.

    Keras's own nodes are private. This reads the configuration, which saved networks hold too.

    Args:
        configuration: ``get_config()`` of a functional model.
    """
    return {
        (layer["name"], i): list(_tensors_read(node))
        for layer in configuration["layers"]
        for i, node in enumerate(layer["inbound_nodes"] or [{}])
    }


def _tensors_read(part: Any) -> Iterator[Call]:
    """Yields the calls that made the tensors in the arguments of a serialized call."""
    if isinstance(part, Mapping):
        if part.get("class_name") == "__keras_tensor__":
            yield tuple(part["config"]["keras_history"][:2])
        else:
            for value in part.values():
                yield from _tensors_read(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from _tensors_read(value)


def _after(operation: Any, given: list[Dependence], window: int | None) -> Dependence | None:
    """Returns the dependence of an operation's output; None if no input is a field.

    Args:
        operation: Keras operation or layer.
        given: Dependences of its inputs that are fields.
        window: Time steps of recurrent layers.
    """
    if not given:
        return None
    kind = type(operation).__name__
    if kind in GLOBAL:
        raise _WholeField
    before = given[0]
    for one in given[1:]:
        before = before.joined(one)
    if kind in POINTWISE:
        return before
    if len(given) == 1 or kind in WITH_VALIDITY:
        layer = operation
        if kind == "ConvolutionalLSTM":
            reach = layer.kernel_size // 2
            return before.convolved(reach, reach).recurring(reach, window - 1)
        if isinstance(layer, keras.layers.Conv2DTranspose):
            return before.enlarged(_transposed_offsets(layer.kernel_size[0], layer.strides[0]))
        if hasattr(layer, "kernel_size") and layer.strides in ((1, 1), 1):
            size = max(layer.kernel_size)
            return before.convolved((size - 1) // 2, size // 2)
        if kind == "PixelShuffle":
            return before.enlarged([range(1)] * layer.factor)
        if isinstance(layer, Interpolation):
            return before.enlarged(_interpolated_offsets(layer))
        if kind == "AveragePooling2D":
            return before.pooled(layer.pool_size[0])
    raise ValueError(f"the reach of the operation {kind} is unknown: add it to receptive_field.py")


def _transposed_offsets(size: int, stride: int) -> list[range]:
    """Returns the offsets that each of ``stride`` output points of a transposed convolution reads.

    The padding "same" crops (size − stride)//2 points before the first output point.
    """
    cut = max(size - stride, 0) // 2
    return [
        range(-((size - 1 - p - cut) // stride), (p + cut) // stride + 1) for p in range(stride)
    ]


def _interpolated_offsets(layer: Any) -> list[range]:
    """Returns the offsets that each fine point of an interpolation reads."""
    taps = phase_weights(layer.scale, layer.method, layer.a)
    offsets = [np.flatnonzero(row) - REACH for row in taps]
    return [range(one.min(), one.max() + 1) for one in offsets]
