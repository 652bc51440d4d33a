"""Halo of a convolutional network, worked out exactly from its graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from phire.networks.blocks.interpolation_layer import REACH, Interpolation, phase_weights

FINE_INPUTS = ("static", "auxiliary", "noise", "noisy")
"""Inputs of a sample on the fine grid."""
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
"""Operations that move no information between points; padding and cropping are of whole coarse
points, which are counted from the patch."""
GLOBAL = {"GlobalAveragePooling2D", "GroupNormalization", "Mean", "PadToMultiple"}
"""Operations after which points depend on the whole field, or as for ``PadToMultiple``, before
pooling, on where the field begins and ends."""

WITH_VALIDITY = {"ConvolutionalLSTM", "PartialConv2D", "PartialInterpolation"}
"""Operations that also read which of their values are present."""


@dataclasses.dataclass(frozen=True)
class Dependence:
    """Coarse points that a tensor depends on, along one axis.

    Attributes:
        first, last: For each of the r points of a coarse one, the first and last coarse point that
            it depends on, relative to its own.
        recurrent: Largest reach of a recurrent convolution so far, in the tensor's points.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    recurrent: int = 0

    def gathered(self, offsets: list[range]) -> Dependence:
        """Returns the dependence of points that read these offsets of the r points."""
        r = len(self.first)
        reads = [[divmod(i + offset, r) for offset in offsets[i]] for i in range(r)]
        return dataclasses.replace(
            self,
            first=tuple(min((c + self.first[q] for c, q in one), default=0) for one in reads),
            last=tuple(max((c + self.last[q] for c, q in one), default=0) for one in reads),
        )

    def convolved(self, before: int, after: int) -> Dependence:
        """Returns the dependence after a convolution that reads so many points on both sides."""
        return self.gathered([range(-before, after + 1)] * len(self.first))

    def recurring(self, reach: int, steps: int) -> Dependence:
        """Returns the dependence after a recurrent convolution that was applied ``steps`` times.

        A path through several recurrent layers passes each time step once, in any of them, so that
        the largest reach counts.
        """
        further = max(0, reach - self.recurrent) * steps
        return dataclasses.replace(
            self.convolved(further, further), recurrent=max(reach, self.recurrent)
        )

    def enlarged(self, offsets: list[range]) -> Dependence:
        """Returns the dependence of s points for each, the i-th of which reads ``offsets[i]``."""
        parts = [self.gathered([one] * len(self.first)) for one in offsets]
        pairs = range(len(self.first))
        return Dependence(
            tuple(part.first[q] for q in pairs for part in parts),
            tuple(part.last[q] for q in pairs for part in parts),
        )

    def pooled(self, size: int) -> Dependence:
        """Returns the dependence of means of blocks of points."""
        starts = range(0, len(self.first), size)
        return Dependence(
            tuple(min(self.first[q : q + size]) for q in starts),
            tuple(max(self.last[q : q + size]) for q in starts),
        )

    def joined(self, other: Dependence) -> Dependence:
        """Returns the dependence on what either depends on."""
        return Dependence(
            tuple(map(min, self.first, other.first)),
            tuple(map(max, self.last, other.last)),
            max(self.recurrent, other.recurrent),
        )


class _WholeField(Exception):
    """The output depends on the whole field."""


def halo_of_graph(
    inputs: Mapping[str, Any], output: Any, scale: int, window: int | None = None
) -> int | None:
    """Returns the halo of an output of a Keras graph, in coarse points; None for the whole field.

    Args:
        inputs: The graph's inputs, by their names in a sample.
        output: Tensor on the fine grid.
        scale: Fine points to a coarse one.
        window: Time steps of recurrent layers.

    Raises:
        ValueError: The graph has an operation of unknown reach.
    """
    found: dict[int, Dependence | None] = {}
    for name, tensor in inputs.items():
        points = scale if name in FINE_INPUTS else 1
        spatial = name in ("low", "low_valid") or name in FINE_INPUTS
        found[id(tensor)] = Dependence((0,) * points, (0,) * points) if spatial else None
    graph = keras.Function(list(inputs.values()), output)
    nodes = [node for depth in sorted(graph._nodes_by_depth, reverse=True)
             for node in graph._nodes_by_depth[depth] if not node.is_input]  # fmt: skip
    try:
        for node in nodes:
            given = [found[id(tensor)] for tensor in node.input_tensors]
            result = _after(node.operation, [one for one in given if one is not None], window)
            found.update({id(tensor): result for tensor in node.output_tensors})
    except _WholeField:
        return None
    end = found[id(output)]
    return max(-min(end.first), max(end.last))


def _after(operation: Any, given: list[Dependence], window: int | None) -> Dependence | None:
    """Returns the dependence of an operation's output; None without one on points."""
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
    raise ValueError(f"the reach of the operation {kind} is not known")


def _transposed_offsets(size: int, stride: int) -> list[range]:
    """Returns the points that each of the ``stride`` points of a transposed convolution reads.

    The padding "same" cuts (size − stride)//2 points before the first.
    """
    cut = max(size - stride, 0) // 2
    return [
        range(-((size - 1 - p - cut) // stride), (p + cut) // stride + 1) for p in range(stride)
    ]


def _interpolated_offsets(layer: Any) -> list[range]:
    """Returns the points that each point of an interpolation reads."""
    taps = phase_weights(layer.scale, layer.method, layer.a)
    places = [np.flatnonzero(row) - REACH for row in taps]
    return [range(one.min(), one.max() + 1) for one in places]
