"""Interpolation to scattered points and to other grids, periodic in longitude and across poles.

If a grid closes the circle of longitudes, its first columns follow its last ones. If its rows
extend to a pole, they continue beyond it as the same rows, shifted by 180° of longitude. Written
here for this continuation, which ``scipy.interpolate`` lacks. Checked against band-limited fields
from spherical harmonics, against polynomials, and against TensorFlow's resizing of images.
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
"""Number of points of the Lagrange scheme along each axis."""


@dataclasses.dataclass(frozen=True)
class _Axis:
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


class Interpolator:
    """Lagrange interpolation of scalar fields at scattered points, from 6 × 6 grid points each.

    The weights are computed once and applied to any number of fields. Components of wind would
    need a change of sign across the poles, which is not applied.

    Args:
        grid: Grid of the fields.
        latitudes: (k,) degrees north; rows from 0 on a grid without coordinates.
        longitudes: (k,) degrees east, modulo 360; columns from 0 on a grid without coordinates.
    """

    def __init__(self, grid: Grid, latitudes: np.ndarray, longitudes: np.ndarray) -> None:
        latitudes = np.atleast_1d(np.asarray(latitudes, np.float64))
        longitudes = np.atleast_1d(np.asarray(longitudes, np.float64))
        self.grid = grid
        axes = _row_axis(grid, STENCIL), _column_axis(grid, STENCIL)
        index, weights = _stencils(grid, latitudes, longitudes, _lagrange, *axes)
        # Gathering the values of 8400 stencils from 512 × 512 points before weighting them took
        # 0.6 ms; this sparse product takes 0.2 ms.
        ends = np.arange(0, index.size + 1, index.shape[1], dtype=np.int32)
        self._matrix = scipy.sparse.csr_array(
            (weights.ravel(), index.astype(np.int32).ravel(), ends),
            shape=(len(index), grid.shape[0] * grid.shape[1]),
        )

    def __call__(self, fields: np.ndarray) -> np.ndarray:
        """Returns the interpolated values.

        Args:
            fields: (n, H, W, C) on the grid.

        Returns:
            (n, k, C) float64; NaN outside the grid, and where one of the 36 values is missing.
        """
        flat = fields.reshape(len(fields), -1, fields.shape[-1])
        return np.stack([self._matrix @ field for field in flat])


def interpolate(
    fields: np.ndarray, grid: Grid, latitudes: np.ndarray, longitudes: np.ndarray
) -> np.ndarray:
    """Interpolates fields (n, H, W, C) to points: (n, k, C); see :class:`Interpolator`."""
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

    ``bicubic`` is Keys' cubic convolution with a = −1/2 (doi:10.1109/TASSP.1981.1163711),
    generalised to nodes of unequal spacing. Beyond the outermost nodes of a region their values
    are continued as constants.

    Args:
        coarse: (n, h, w, C).
        grid: Grid of ``coarse``.
        fine_grid: Target grid, whose coordinates locate its points in ``grid``.
        method: ``nearest``, ``bilinear`` or ``bicubic``.
        alignment: Position of coarse points if neither grid has coordinates: the centres of blocks
            of fine points (``cell``) or their first points (``corner``).

    Returns:
        (n, H, W, C) float32; NaN where a value of the stencil is missing.

    Raises:
        InputError: The method or alignment is unknown, or only one of the grids has coordinates.
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
    """Returns the map that interpolates fields to the points of given rows and columns.

    Args:
        grid: Grid of the fields.
        latitudes: (H,) latitudes of the target rows; row positions on a grid without coordinates.
        longitudes: (W,) longitudes of the target columns; column positions on a grid without
            coordinates.
        method: See :func:`upsample`.
        dtype: Type of the computation.
    """
    weigh = {"nearest": _nearest, "bilinear": _linear, "bicubic": _cubic}[method]
    # For ``nearest`` the outermost row represents all latitudes up to the pole, so rows beyond
    # the pole are not used.
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
    """Returns the map that interpolates fields to scattered points.

    Args:
        grid: Grid of the fields. On a curvilinear grid the interpolation is along its rows and
            columns.
        latitudes, longitudes: (H', W') coordinates of the points, degrees.
        method: See :func:`upsample`.

    Returns:
        The map, and the (H', W') mask of the points within the grid's cells.
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
    """Returns the masks of the latitudes and longitudes that lie within the cells of a grid.

    A cell extends half way to its neighbours, and an outermost cell as far outward as inward. The
    outermost cells at a pole extend to it.

    Args:
        grid: Grid with coordinates.
        latitudes: (H,) degrees.
        longitudes: (W,) degrees.

    Returns:
        (H,) and (W,) booleans.
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
    """Returns latitudes, negated on descending grids, so that they ascend along the rows."""
    return -latitudes if grid.has_coordinates and grid.descending else latitudes


def _column_positions(grid: Grid, longitudes: np.ndarray) -> np.ndarray:
    """Returns longitudes shifted by multiples of 360° to the range of the grid's longitudes."""
    if not grid.has_coordinates:
        return longitudes
    if grid.wraps:
        return grid.longitudes[0] + (longitudes - grid.longitudes[0]) % 360
    middle = grid.longitudes[[0, -1]].mean()
    return middle + (longitudes - middle + 180) % 360 - 180


def _pixel_positions(fine: int, coarse: int, alignment: str) -> np.ndarray:
    """Returns the positions (fine,) of fine pixels in units of coarse pixels."""
    scale = fine / coarse
    offset = (scale - 1) / 2 if alignment == "cell" else 0
    return (np.arange(fine) - offset) / scale


# Nodes and ghost nodes of an axis


def _row_axis(grid: Grid, ghosts: int, repeat: bool = False, across: bool = True) -> _Axis:
    """Returns the row nodes of a grid.

    Rows continue across a pole if the last one lies within 1.5 spacings of it.

    Args:
        grid: The grid.
        ghosts: Number of ghost rows at each end.
        repeat: Add ghost rows with the outermost value at a border of the data.
        across: Add ghost rows beyond a pole.
    """
    positions = _row_positions(grid, grid.latitudes)
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
            ghost = _repeated(positions, end, ghosts)
        else:
            continue
        parts.append(ghost)
    return _sorted_axis(parts, closed)


def _column_axis(grid: Grid, ghosts: int, repeat: bool = False) -> _Axis:
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
        parts += [_repeated(positions, end, ghosts) for end in (0, -1)]
    return _sorted_axis(parts, [not grid.wraps] * 2)


def _repeated(
    positions: np.ndarray, end: int, ghosts: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns ghost nodes beyond a border, which have the value of the outermost node."""
    spacing = abs(positions[1] - positions[0] if end == 0 else positions[-1] - positions[-2])
    steps = np.arange(1, ghosts + 1) * (spacing if end else -spacing)
    index = np.full(ghosts, len(positions) - 1 if end else 0)
    return positions[end] + steps, index, np.zeros(ghosts, bool)


def _sorted_axis(parts: list[tuple], closed: list[bool]) -> _Axis:
    positions, index, opposite = (np.concatenate(values) for values in zip(*parts))
    order = np.argsort(positions)
    return _Axis(positions[order], index[order], opposite[order], tuple(closed))


# Weights along one axis: each function returns the first node (k,) of the stencils of k places,
# and their weights (k, points)


def _lagrange(axis: _Axis, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def _bracket(axis: _Axis, places: np.ndarray, around: int) -> tuple[np.ndarray, np.ndarray]:
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


def _nearest(axis: _Axis, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    before, way = _bracket(axis, places, 0)
    return before + (way > 0.5), np.ones((len(places), 1))


def _linear(axis: _Axis, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    before, way = _bracket(axis, places, 0)
    return before, np.stack([1 - way, way], axis=1)


def _cubic(axis: _Axis, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def _matrix(
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
