"""Stencils of interpolation: nodes and ghost nodes of each axis, and the weights around a place.

:func:`lagrange`, :func:`nearest`, :func:`linear` and :func:`cubic` return the first node (k,) of
the stencils of k places along one axis, and their weights (k, points).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy  # loads its submodules when they are used

from phire.fields.grid import TOLERANCE, Grid

STENCIL = 6
"""Number of points of the Lagrange scheme along each axis."""


@dataclasses.dataclass(frozen=True)
class AxisNodes:
    """Nodes along one axis of a grid, including ghost nodes that continue it at both ends.

    Attributes:
        positions: (m,) ascending coordinates of the nodes, degrees (or pixels).
        index: (m,) row or column with the value of each node.
        opposite: (m,) True for ghost rows beyond a pole, whose values lie 180° further east.
        closed: (start, end) True if the axis ends there at a border of the data.
    """

    positions: np.ndarray
    index: np.ndarray
    opposite: np.ndarray
    closed: tuple[bool, bool]


def plane_stencils(
    grid: Grid,
    latitudes: np.ndarray,
    longitudes: np.ndarray,
    weigh: Callable[[AxisNodes, np.ndarray], tuple[np.ndarray, np.ndarray]],
    rows: AxisNodes,
    columns: AxisNodes,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the grid points and weights of the two-dimensional stencil of each place.

    Args:
        grid: Grid of the fields.
        latitudes, longitudes: (k,) places.
        weigh: Function that gives the first node and the weights along one axis.
        rows, columns: Nodes of the two axes.

    Returns:
        (k, points) grid points as row · W + column, and (k, points) weights.
    """

    def along_columns(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, weights = weigh(columns, column_positions(grid, places))
        stencil = first[:, None] + np.arange(weights.shape[1])
        return columns.index[stencil][:, None], weights[:, None]

    first, row_weights = weigh(rows, row_positions(grid, latitudes))
    stencil = first[:, None] + np.arange(row_weights.shape[1])
    opposite = rows.opposite[stencil][:, :, None]
    straight = along_columns(longitudes)
    beyond = along_columns(longitudes + 180) if rows.opposite.any() else straight
    index, weights = (np.where(opposite, b, a) for a, b in zip(straight, beyond))
    index = rows.index[stencil][:, :, None] * grid.shape[1] + index
    weights = row_weights[:, :, None] * weights
    return index.reshape(len(latitudes), -1), weights.reshape(len(latitudes), -1)


def row_positions(grid: Grid, latitudes: np.ndarray) -> np.ndarray:
    """Returns latitudes, negated on descending grids, so that they ascend along the rows."""
    return -latitudes if grid.has_coordinates and grid.descending else latitudes


def column_positions(grid: Grid, longitudes: np.ndarray) -> np.ndarray:
    """Returns longitudes shifted by multiples of 360° to the range of the grid's longitudes."""
    if not grid.has_coordinates:
        return longitudes
    if grid.wraps:
        return grid.longitudes[0] + (longitudes - grid.longitudes[0]) % 360
    middle = grid.longitudes[[0, -1]].mean()
    return middle + (longitudes - middle + 180) % 360 - 180


def pixel_positions(fine: int, coarse: int, alignment: str) -> np.ndarray:
    """Returns the positions (fine,) of fine pixels in units of coarse pixels."""
    scale = fine / coarse
    offset = (scale - 1) / 2 if alignment == "cell" else 0
    return (np.arange(fine) - offset) / scale


def row_nodes(grid: Grid, ghosts: int, repeat: bool = False, across: bool = True) -> AxisNodes:
    """Returns the row nodes of a grid.

    Rows continue across a pole if the last one lies within 1.5 spacings of it.

    Args:
        grid: The grid.
        ghosts: Number of ghost rows at each end.
        repeat: Add ghost rows with the outermost value at a border of the data.
        across: Add ghost rows beyond a pole.
    """
    positions = row_positions(grid, grid.latitudes)
    count = len(positions)
    rows = np.arange(count)
    reach = 1.5 * grid.spacing[0]
    parts, closed = [(positions, rows, np.zeros(count, bool))], []
    for end in (0, -1):
        # From the end inward. A row on the pole itself is skipped: it is its own mirror image.
        inward = rows if end == 0 else rows[::-1]
        pole = -90 if end == 0 else 90
        gap = abs(pole - positions[end])
        continues = bool(across and grid.wraps and gap <= reach)
        closed.append(not continues)
        if continues:
            mirrored = inward[int(gap < TOLERANCE) :][:ghosts]
            ghost = 2 * pole - positions[mirrored], mirrored, np.ones(len(mirrored), bool)
        elif repeat:
            ghost = _repeated_nodes(positions, end, ghosts)
        else:
            continue
        parts.append(ghost)
    return _sorted_nodes(parts, closed)


def column_nodes(grid: Grid, ghosts: int, repeat: bool = False) -> AxisNodes:
    """Returns the column nodes of a grid, periodic if the grid closes the circle.

    Args:
        grid: The grid.
        ghosts: Number of ghost columns at each end.
        repeat: Add ghost columns with the outermost value at a border of the data.
    """
    positions = grid.longitudes
    count = len(positions)
    columns = np.arange(count)
    parts = [(positions, columns, np.zeros(count, bool))]
    if grid.wraps:
        for end, turn in ((0, -360), (-1, 360)):
            copied = columns[-ghosts:] if end == 0 else columns[:ghosts]
            parts.append((positions[copied] + turn, copied, np.zeros(len(copied), bool)))
    elif repeat:
        parts += [_repeated_nodes(positions, end, ghosts) for end in (0, -1)]
    return _sorted_nodes(parts, [not grid.wraps] * 2)


def _repeated_nodes(
    positions: np.ndarray, end: int, ghosts: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns ghost nodes beyond a border, which have the value of the outermost node."""
    spacing = abs(positions[1] - positions[0] if end == 0 else positions[-1] - positions[-2])
    steps = np.arange(1, ghosts + 1) * (spacing if end else -spacing)
    index = np.full(ghosts, len(positions) - 1 if end else 0)
    return positions[end] + steps, index, np.zeros(ghosts, bool)


def _sorted_nodes(parts: list[tuple], closed: list[bool]) -> AxisNodes:
    positions, index, opposite = (np.concatenate(values) for values in zip(*parts))
    order = np.argsort(positions)
    return AxisNodes(positions[order], index[order], opposite[order], tuple(closed))


def lagrange(axis: AxisNodes, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the stencils of Lagrange's polynomial through the nodes around each place.

    Places beyond a border of the data have weights NaN.
    """
    points = min(STENCIL, len(axis.positions))
    first = np.searchsorted(axis.positions, places, side="right") - points // 2
    first = np.clip(first, 0, len(axis.positions) - points)
    nodes = axis.positions[first[:, None] + np.arange(points)]
    weights = np.ones(nodes.shape)
    for i in range(points):
        for j in range(points):
            if j != i:
                weights[:, i] *= (places - nodes[:, j]) / (nodes[:, i] - nodes[:, j])
    (start, end), (west, east) = axis.closed, axis.positions[[0, -1]]
    outside = (start & (places < west - TOLERANCE)) | (end & (places > east + TOLERANCE))
    weights[outside] = np.nan
    return first, weights


def _bracket(axis: AxisNodes, places: np.ndarray, around: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the node before each place, and the fraction of the way to the next node, 0 to 1.

    Args:
        axis: The nodes.
        places: (k,) positions.
        around: Number of nodes that a stencil needs beside the two around a place, at each side.
    """
    before = np.searchsorted(axis.positions, places, side="right") - 1
    before = np.clip(before, around, len(axis.positions) - 2 - around)
    position, following = axis.positions[before], axis.positions[before + 1]
    return before, np.clip((places - position) / (following - position), 0, 1)


def nearest(axis: AxisNodes, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    before, way = _bracket(axis, places, 0)
    return before + (way > 0.5), np.ones((len(places), 1))


def linear(axis: AxisNodes, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    before, way = _bracket(axis, places, 0)
    return before, np.stack([1 - way, way], axis=1)


def cubic(axis: AxisNodes, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the stencils of cubic Hermite interpolation with slopes of parabolas.

    The slope at a node is that of the parabola through it and its two neighbours. On evenly spaced
    nodes this is Keys' kernel with a = −1/2.
    """
    before, way = _bracket(axis, places, 1)
    stencil = axis.positions[before[:, None] + np.arange(-1, 3)]
    left, middle, right = np.diff(stencil).T
    west = way * (1 - way) ** 2 * middle
    east = way**2 * (way - 1) * middle
    value = (1 + 2 * way) * (1 - way) ** 2
    weights = [
        -west * middle / (left * (left + middle)),
        value
        + west * (middle / left - left / middle) / (left + middle)
        - east * right / (middle * (middle + right)),
        1
        - value
        + west * left / (middle * (left + middle))
        + east * (right / middle - middle / right) / (middle + right),
        east * middle / (right * (middle + right)),
    ]
    return before - 1, np.stack(weights, axis=1)


WEIGHTS = {"nearest": nearest, "bilinear": linear, "bicubic": cubic}
"""Functions that weigh the nodes around places, by the name of the interpolation."""


def axis_matrix(
    weighted: tuple[np.ndarray, np.ndarray], index: np.ndarray, chosen: np.ndarray | None = None
) -> scipy.sparse.csr_array:
    """Returns the weights of stencils as a sparse matrix (places, rows or columns of the grid).

    Args:
        weighted: First node (k,) and weights (k, points) of each place.
        index: (m,) row or column with the value of each node.
        chosen: (m,) mask of the nodes to include; by default all.
    """
    first, weights = weighted
    nodes = first[:, None] + np.arange(weights.shape[1])
    # A weight that is zero up to rounding would make the result NaN if its value is missing.
    used = np.abs(weights) > 1e-9
    if chosen is not None:
        used &= chosen[nodes]
    return scipy.sparse.csr_array(
        (weights[used], (np.nonzero(used)[0], index[nodes[used]])),
        shape=(len(weights), int(index.max()) + 1),
    )
