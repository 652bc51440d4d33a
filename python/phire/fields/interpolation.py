"""Interpolation on latitude–longitude grids: at scattered places, and of whole coarse fields.

Both go around the circle of longitudes where the grid closes it, and on across the poles where its
rows come up to them: beyond a pole lies the same row again, 180° of longitude further.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy  # loads its submodules when they are used

from phire.errors import InputError
from phire.fields.coarsening import ALIGNMENTS
from phire.fields.grid import TOLERANCE, Grid
from phire.fields.linear_maps import AxisProduct, MatrixMap, SeparableMap

METHODS = ("nearest", "bilinear", "bicubic")
STENCIL = 6
"""Points of the Lagrange scheme along each axis."""

_GATHERED = 1 << 22  # values held at once


@dataclasses.dataclass(frozen=True)
class _Axis:
    """The nodes along one axis of a grid, with those that continue it at either end.

    Attributes:
        positions: (m,) ascending coordinates of the nodes, degrees (or pixels).
        index: (m,) row or column that holds a node's value.
        opposite: (m,) whether a row lies beyond a pole, and is to be read 180° further east.
        closed: (start, end) True where the nodes end at a border of the data.
    """

    positions: np.ndarray
    index: np.ndarray
    opposite: np.ndarray
    closed: tuple[bool, bool]


class Interpolator:
    """Lagrange interpolation of fields on a grid at scattered places, 6 × 6 points each.

    Made once for its places, it can be called for many fields. The interpolated fields are
    scalars: wind components change their sign across a pole, which is not done here.

    Args:
        grid: Any grid; where it has no coordinates, places are rows and columns, from 0.
        latitudes: (k,) degrees north.
        longitudes: (k,) degrees east, of any turn.
    """

    def __init__(self, grid: Grid, latitudes: np.ndarray, longitudes: np.ndarray) -> None:
        latitudes = np.atleast_1d(np.asarray(latitudes, np.float64))
        longitudes = np.atleast_1d(np.asarray(longitudes, np.float64))
        self.grid = grid
        axes = _row_axis(grid, STENCIL), _column_axis(grid, STENCIL)
        self._index, weights = _stencils(grid, latitudes, longitudes, _lagrange, *axes)
        self._weights = weights[:, None]

    def __call__(self, fields: np.ndarray) -> np.ndarray:
        """Values at the places.

        Args:
            fields: (n, H, W, C) on the grid.

        Returns:
            (n, k, C) float64; NaN where one of a place's points is missing, and outside a region.
        """
        n, _, _, channels = fields.shape
        flat = fields.reshape(n, -1, channels)
        values = np.empty((n, len(self._index), channels))
        step = max(1, _GATHERED // (self._index.shape[1] * channels))
        for time in range(n):
            for start in range(0, len(self._index), step):
                part = slice(start, start + step)
                gathered = flat[time].take(self._index[part], axis=0).astype(np.float64)
                values[time, part] = (self._weights[part] @ gathered)[:, 0]
        return values


def interpolate(
    fields: np.ndarray, grid: Grid, latitudes: np.ndarray, longitudes: np.ndarray
) -> np.ndarray:
    """Values of fields (n, H, W, C) at places: (n, k, C); see :class:`Interpolator`."""
    return Interpolator(grid, latitudes, longitudes)(fields)


def upsample(
    coarse: np.ndarray,
    grid: Grid,
    fine_grid: Grid,
    *,
    method: str = "bicubic",
    alignment: str = "cell",
) -> np.ndarray:
    """Interpolates whole fields to a finer grid.

    ``bicubic`` is Keys' cubic convolution with a = −1/2 (doi:10.1109/TASSP.1981.1163711), written
    for nodes at any distances. Outside the outermost nodes of a region their values are kept.

    Args:
        coarse: (n, h, w, C).
        grid: Their grid.
        fine_grid: The grid to interpolate to: its coordinates tell how the two lie on one another.
        method: ``nearest``, ``bilinear`` or ``bicubic``.
        alignment: Where neither grid has coordinates: whether coarse points are centres of blocks
            of fine ones (``cell``) or their first points (``corner``).

    Returns:
        (n, H, W, C) float32; NaN where a point used for it is missing.

    Raises:
        InputError: The method is unknown, or one grid has coordinates and the other has not.
    """
    if method not in METHODS:
        raise InputError(f"interpolation {method!r} must be one of {', '.join(METHODS)}.")
    if alignment not in ALIGNMENTS:
        raise InputError(f"alignment {alignment!r} must be one of {', '.join(ALIGNMENTS)}.")
    if grid.has_coordinates != fine_grid.has_coordinates:
        raise InputError(
            f"cannot interpolate from {grid.in_words()} to {fine_grid.in_words()}: both need "
            "coordinates, or neither."
        )
    if grid.has_coordinates:
        latitudes, longitudes = fine_grid.latitudes, fine_grid.longitudes
    else:
        latitudes, longitudes = (
            _pixel_positions(fine, count, alignment)
            for fine, count in zip(fine_grid.shape, grid.shape)
        )
    return interpolation_map(grid, latitudes, longitudes, method, dtype=np.float32)(coarse)


def interpolation_map(
    grid: Grid,
    latitudes: np.ndarray,
    longitudes: np.ndarray,
    method: str,
    *,
    dtype: type = np.float64,
) -> SeparableMap:
    """Builds the map that interpolates fields to rows and columns of places.

    Args:
        grid: The grid of the fields.
        latitudes: (H,) of the places; without coordinates rows.
        longitudes: (W,) of the places; without coordinates columns.
        method: As of :func:`upsample`.
        dtype: Type of the computation.
    """
    weigh = {"nearest": _nearest, "bilinear": _linear, "bicubic": _cubic}[method]
    # The nearest row is one on this side of the pole: a block reaches up to it.
    rows = _row_axis(grid, 2, repeat=True, across=method != "nearest")
    columns = _column_axis(grid, 2, repeat=True)
    weights = weigh(rows, _row_positions(grid, latitudes))

    def along_columns(places: np.ndarray) -> scipy.sparse.csr_array:
        return _matrix(weigh(columns, _column_positions(grid, places)), columns.index)

    products = [
        AxisProduct(_matrix(weights, rows.index, ~rows.opposite), along_columns(longitudes))
    ]
    if rows.opposite.any():
        beyond = _matrix(weights, rows.index, rows.opposite)
        products.append(AxisProduct(beyond, along_columns(longitudes + 180)))
    return SeparableMap(products, dtype)


def scattered_map(
    grid: Grid, latitudes: np.ndarray, longitudes: np.ndarray, method: str
) -> tuple[MatrixMap, np.ndarray]:
    """Builds the map that interpolates fields to scattered places.

    Args:
        grid: The grid of the fields; on a curvilinear one rows and columns are interpolated along.
        latitudes: (H', W') of the places, degrees.
        longitudes: (H', W').
        method: As of :func:`upsample`.

    Returns:
        The map, and (H', W') booleans: the places that lie in the grid's cells.
    """
    shape = latitudes.shape
    latitudes, longitudes = latitudes.ravel(), longitudes.ravel()
    if grid.has_coordinates:
        inside = np.logical_and(*within_grid(grid, latitudes, longitudes))
    else:
        latitudes, longitudes = grid.row_column(latitudes, longitudes)
        inside = np.logical_and(
            *(
                (places >= -0.5) & (places <= size - 0.5)  # NaN is outside
                for places, size in zip((latitudes, longitudes), grid.shape)
            )
        )
        latitudes, longitudes = (np.nan_to_num(places) for places in (latitudes, longitudes))
        grid = Grid.pixels(*grid.shape)
    rows = _row_axis(grid, 2, repeat=True, across=method != "nearest")
    weigh = {"nearest": _nearest, "bilinear": _linear, "bicubic": _cubic}[method]
    index, weights = _stencils(
        grid, latitudes, longitudes, weigh, rows, _column_axis(grid, 2, repeat=True)
    )
    weights[~inside] = 0
    used = np.abs(weights) > 1e-9
    matrix = scipy.sparse.csr_array(
        (weights[used], (np.nonzero(used)[0], index[used])),
        shape=(len(index), grid.shape[0] * grid.shape[1]),
    )
    return MatrixMap(matrix, shape), inside.reshape(shape)


def _stencils(
    grid: Grid,
    latitudes: np.ndarray,
    longitudes: np.ndarray,
    weigh: Callable[[_Axis, np.ndarray], tuple[np.ndarray, np.ndarray]],
    rows: _Axis,
    columns: _Axis,
) -> tuple[np.ndarray, np.ndarray]:
    """Points of the grid, as row · W + column, and their weights for places, each (k, points)."""

    def along_columns(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, weights = weigh(columns, _column_positions(grid, places))
        stencil = first[:, None] + np.arange(weights.shape[1])
        return columns.index[stencil][:, None], weights[:, None]

    first, row_weights = weigh(rows, _row_positions(grid, latitudes))
    stencil = first[:, None] + np.arange(row_weights.shape[1])
    opposite = rows.opposite[stencil][:, :, None]
    straight = along_columns(longitudes)
    beyond = along_columns(longitudes + 180) if rows.opposite.any() else straight
    index, weights = (np.where(opposite, b, a) for a, b in zip(straight, beyond))
    index = rows.index[stencil][:, :, None] * grid.shape[1] + index
    weights = row_weights[:, :, None] * weights
    return index.reshape(len(latitudes), -1), weights.reshape(len(latitudes), -1)


def within_grid(
    grid: Grid, latitudes: np.ndarray, longitudes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Tells which rows (H,) and columns (W,) of places lie in the cells of a grid.

    A cell reaches half way to the neighbours, the outermost ones as far outward as inward; rows
    that come up to a pole reach it.
    """
    south, north = np.sort(grid.row_edges()[[0, -1]])
    southern, northern = _row_axis(grid, 2).closed
    if grid.descending:
        southern, northern = northern, southern
    rows = np.ones(len(latitudes), bool)
    if southern:
        rows &= latitudes >= south - TOLERANCE
    if northern:
        rows &= latitudes <= north + TOLERANCE
    columns = np.ones(len(longitudes), bool)
    if not grid.wraps:
        west, east = grid.column_edges()[[0, -1]]
        places = _column_positions(grid, longitudes)
        columns = (places >= west - TOLERANCE) & (places <= east + TOLERANCE)
    return rows, columns


# Places along an axis


def _row_positions(grid: Grid, latitudes: np.ndarray) -> np.ndarray:
    """Latitudes as coordinates that ascend along the rows."""
    return -latitudes if grid.has_coordinates and grid.descending else latitudes


def _column_positions(grid: Grid, longitudes: np.ndarray) -> np.ndarray:
    """Longitudes in the turn of the grid's own."""
    if not grid.has_coordinates:
        return longitudes
    if grid.wraps:
        return grid.longitudes[0] + (longitudes - grid.longitudes[0]) % 360
    middle = grid.longitudes[[0, -1]].mean()
    return middle + (longitudes - middle + 180) % 360 - 180


def _pixel_positions(fine: int, coarse: int, alignment: str) -> np.ndarray:
    """Returns (fine,) positions of fine pixels, in coarse pixels."""
    scale = fine / coarse
    offset = (scale - 1) / 2 if alignment == "cell" else 0
    return (np.arange(fine) - offset) / scale


# The nodes, continued


def _row_axis(grid: Grid, ghosts: int, repeat: bool = False, across: bool = True) -> _Axis:
    """Returns the rows; across a pole where they come within one and a half spacings of it."""
    positions = _row_positions(grid, grid.latitudes)
    count = len(positions)
    rows = np.arange(count)
    reach = 1.5 * grid.spacing[0]
    parts, closed = [(positions, rows, np.zeros(count, bool))], []
    for end in (0, -1):
        # From the end inward; a row on the pole itself is not repeated beyond it.
        inward = rows if end == 0 else rows[::-1]
        pole = -90 if end == 0 else 90
        gap = abs(pole - positions[end])
        goes_on = bool(across and grid.wraps and gap <= reach)
        closed.append(not goes_on)
        if goes_on:
            mirrored = inward[int(gap < TOLERANCE) :][:ghosts]
            ghost = 2 * pole - positions[mirrored], mirrored, np.ones(len(mirrored), bool)
        elif repeat:
            ghost = _repeated(positions, end, ghosts)
        else:
            continue
        parts.append(ghost)
    return _sorted_axis(parts, closed)


def _column_axis(grid: Grid, ghosts: int, repeat: bool = False) -> _Axis:
    """Returns the columns, around the circle where they close it."""
    positions = grid.longitudes
    count = len(positions)
    columns = np.arange(count)
    parts = [(positions, columns, np.zeros(count, bool))]
    if grid.wraps:
        for end, turn in ((0, -360), (-1, 360)):
            taken = columns[-ghosts:] if end == 0 else columns[:ghosts]
            parts.append((positions[taken] + turn, taken, np.zeros(len(taken), bool)))
    elif repeat:
        parts += [_repeated(positions, end, ghosts) for end in (0, -1)]
    return _sorted_axis(parts, [not grid.wraps] * 2)


def _repeated(
    positions: np.ndarray, end: int, ghosts: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes beyond a border, with the value of the outermost."""
    spacing = abs(positions[1] - positions[0] if end == 0 else positions[-1] - positions[-2])
    steps = np.arange(1, ghosts + 1) * (spacing if end else -spacing)
    index = np.full(ghosts, len(positions) - 1 if end else 0)
    return positions[end] + steps, index, np.zeros(ghosts, bool)


def _sorted_axis(parts: list[tuple], closed: list[bool]) -> _Axis:
    positions, index, opposite = (np.concatenate(values) for values in zip(*parts))
    order = np.argsort(positions)
    return _Axis(positions[order], index[order], opposite[order], tuple(closed))


# Weights: each gives the first node (k,) of every place's stencil and its weights (k, points)


def _lagrange(axis: _Axis, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lagrange's polynomial through the nodes around a place; NaN beyond a border."""
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


def _bracket(axis: _Axis, places: np.ndarray, around: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the node before each place and the part of the way to the next, kept between
    nodes."""
    before = np.searchsorted(axis.positions, places, side="right") - 1
    before = np.clip(before, around, len(axis.positions) - 2 - around)
    here, following = axis.positions[before], axis.positions[before + 1]
    return before, np.clip((places - here) / (following - here), 0, 1)


def _nearest(axis: _Axis, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    before, way = _bracket(axis, places, 0)
    return before + (way > 0.5), np.ones((len(places), 1))


def _linear(axis: _Axis, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    before, way = _bracket(axis, places, 0)
    return before, np.stack([1 - way, way], axis=1)


def _cubic(axis: _Axis, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hermite's cubic with the slopes of parabolas: Keys' kernel on even nodes."""
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


def _matrix(
    weighted: tuple[np.ndarray, np.ndarray], index: np.ndarray, chosen: np.ndarray | None = None
) -> scipy.sparse.csr_array:
    """Lays the weights of nodes out as a matrix (places, rows or columns of the grid).

    Args:
        weighted: First node (k,) and weights (k, points) of every place.
        index: (m,) row or column that holds a node's value.
        chosen: (m,) the nodes to take; by default all.
    """
    first, weights = weighted
    nodes = first[:, None] + np.arange(weights.shape[1])
    # Weights of rounding would let a missing neighbour count.
    used = np.abs(weights) > 1e-9
    if chosen is not None:
        used &= chosen[nodes]
    return scipy.sparse.csr_array(
        (weights[used], (np.nonzero(used)[0], index[nodes[used]])),
        shape=(len(weights), int(index.max()) + 1),
    )
