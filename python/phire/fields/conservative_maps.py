"""Conservative maps between grids, from the areas that their cells share.

Written here because libraries compute overlaps in a plane (xugrid) or need packages outside PyPI
(ESMF). Checked against xugrid in an equal-area plane, brute force, and the integrals of fields.
"""

from __future__ import annotations

import numpy as np
import scipy  # loads its submodules when they are used

from phire.errors import InputError
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.fractional_indices import fractional_index
from phire.fields.great_circle import unit_vectors
from phire.fields.grid import Grid
from phire.fields.linear_maps import AxisProduct, MatrixMap, SeparableMap, overlaps
from phire.fields.quadrilateral_overlaps import overlaps_with_squares, quadrilateral_plane_areas

PARTS = 12
"""Parts along each side of a cell that is cut up, if its spacing equals the target's.

A coarser cell has proportionally more parts."""

LONGEST_EDGE = 55.0
"""Length (km) above which a cell's edges are subdivided: they are not straight in another grid."""

WIDEST = 30.0
"""Width (degrees of longitude) above which a cell is not treated as a quadrilateral."""

FITTINGS = 80
"""Largest number of Newton steps of the fit of areas, which usually converges earlier."""

LEAK = 1e-5
"""Share of a cell's area that is assigned, before the fit, to the target cell behind an edge."""

MISFIT = 1e-7
"""Relative error of all areas below which the fit has converged."""

LARGEST_STEP = 1.0
"""Largest change of the logarithm of a scale in one step of the fit."""

MOST_PRODUCTS = 2000
"""Largest number of iterations of the linear solver in one step of the fit."""

_BLOCK = 1 << 21
"""Number of parts located at once; overlaps are computed for a sixteenth of it, as each needs more
memory."""

_MOST = 1 << 29
"""Number of parts above which the computation would take about an hour."""


def conservative_map(grid: Grid, target: Grid) -> tuple[SeparableMap, np.ndarray]:
    """Returns the conservative map between two latitude–longitude grids.

    A shared area is then the product of an overlap in latitude and one in longitude.

    Args:
        grid: Grid of the fields.
        target: Grid of the result.

    Returns:
        The map to the area-weighted means over the cells of ``target``, and the (H', W') share of
        each of these cells that ``grid`` covers.
    """
    rows = overlaps(*(np.sin(np.deg2rad(_row_bounds(g))) for g in (grid, target)))
    columns = overlaps(grid.column_edges(), target.column_edges(), turn=360.0)
    covered = np.outer(*(np.asarray(one.sum(axis=1)) for one in (rows, columns)))
    return SeparableMap([AxisProduct(rows, columns)]), covered


def overlap_map(grid: Grid, target: Grid) -> tuple[MatrixMap, np.ndarray]:
    """Returns the conservative map between any two grids with known points.

    1. Each cell is cut into quadrilaterals of at most half a degree. Their edges are treated as
       straight in the row–column plane of the target grid, where their overlaps with the target
       cells are computed exactly.
    2. Cells around a pole of the target, and cells with corners outside the target's plane, are
       cut into small parts instead; each part counts to the target cell that contains its centre.
    3. A target cell without any shared area gets the area of the cell that contains its point.
    4. The shared areas, accurate to about 1e-4, are scaled such that the shares of each cell that
       lies entirely within the other grid add up to its area. Constants are then preserved
       exactly and integrals to 1e-6.

    Args:
        grid: Grid of the fields.
        target: Grid of the result.

    Returns:
        See :func:`conservative_map`; the covered share may exceed 1 by a few per cent.

    Raises:
        InputError: ``grid`` is so much coarser than ``target`` that the number of parts is too
            large.
    """
    ratio = np.array(grid.spacing_km()) / np.array(target.spacing_km())
    ratio = np.maximum(np.nan_to_num(ratio), 0)
    parts = max(2, int(np.ceil(PARTS * ratio.max())))
    areas, target_areas = cell_areas(grid), cell_areas(target)
    near = np.flatnonzero(_near(grid, target))
    if len(near) * parts**2 > _MOST:
        raise InputError(
            f"the {target.describe()} is {ratio.max():.0f} times finer than the fields: means over "
            "its cells are no better than interpolation; choose the method bilinear."
        )
    matrix, whole, remaining = _overlaps(grid, target, near, target_areas.ravel(), ratio)
    more, more_whole = _part_overlaps(grid, target, remaining, areas.ravel(), parts)
    matrix, whole = matrix + more, whole | more_whole
    matrix += _leaks(grid, target, areas.ravel(), matrix.shape)
    # Meridians converge: near a pole a target cell may be too narrow to contain a part's centre.
    empty = np.flatnonzero(matrix.sum(axis=1) == 0)
    source = _cell_of(grid, *(points.ravel()[empty] for points in target.points()))
    empty, source = empty[source >= 0], source[source >= 0]
    share = target_areas.ravel()[empty]
    matrix += scipy.sparse.coo_array((share, (empty, source)), shape=matrix.shape).tocsr()
    rows = _well_within(_inside(target, grid), target, ratio.max())
    columns = _well_within(whole, grid, np.nan_to_num(1 / ratio).max())
    _fit(matrix, target_areas.ravel(), areas.ravel(), rows, columns)
    matrix = (scipy.sparse.diags_array(1 / target_areas.ravel()) @ matrix).tocsr()
    covered = np.asarray(matrix.sum(axis=1)).reshape(target.shape)
    return MatrixMap(matrix, target.shape), covered


def _overlaps(
    grid: Grid, target: Grid, near: np.ndarray, target_areas: np.ndarray, ratio: np.ndarray
) -> tuple[scipy.sparse.csr_array, np.ndarray, np.ndarray]:
    """Returns shared areas from overlaps of quadrilaterals in the target's row–column plane.

    Args:
        grid, target: The grids.
        near: (n,) indices of the cells of ``grid`` that may share area with the target.
        target_areas: (H'·W',) areas of the target's cells.
        ratio: Spacing of ``grid`` divided by that of ``target``, for rows and columns.

    Returns:
        The matrix (H'·W', H·W) of shared areas, the mask (H·W,) of cells that lie entirely within
        the target, and the indices of the cells that are not quadrilaterals in the plane.
    """
    shape = (target_areas.size, int(np.prod(grid.shape)))
    matrix, whole = scipy.sparse.csr_array(shape), np.zeros(shape[1], bool)
    # Corners of the cuts × cuts quadrilaterals of a cell, and their order around each.
    cuts = int(np.clip(np.ceil(np.nan_to_num(grid.spacing_km()).max() / LONGEST_EDGE), 1, 16))
    lattice = np.arange(cuts + 1) / cuts
    down, across = (part.ravel() for part in np.meshgrid(lattice, lattice, indexing="ij"))
    corner = np.arange((cuts + 1) ** 2).reshape(cuts + 1, cuts + 1)
    corners = np.stack([corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]], -1)
    corners = corners.reshape(-1, 4)
    step = max(1, int(_BLOCK / 16 / (cuts**2 * (ratio.max() / cuts + 2) ** 2)))
    remaining = []
    for start in range(0, len(near), step):
        cells = near[start : start + step]
        rows, columns, flat = _positions(target, *_places(grid, cells, down, across))
        spans = np.ptp(rows, axis=1), np.ptp(columns, axis=1)
        # A cell that spans many more target cells than its size suggests lies across a seam or a
        # pole of the plane.
        flat &= (np.maximum(*spans) < 10 * (ratio.max() + 1)) & np.isfinite(spans).all(0)
        remaining.append(cells[~flat])
        cells, rows, columns = (values[flat] for values in (cells, rows, columns))
        rows, columns = (values[:, corners].reshape(-1, 4) for values in (rows, columns))
        quads, squares, shared = overlaps_with_squares(rows, columns, target.shape, target.wraps)
        owner = np.repeat(cells, len(corners))
        found = np.bincount(quads, shared, minlength=len(rows))
        inside = found > (1 - 1e-9) * quadrilateral_plane_areas(rows, columns)
        whole[cells] = inside.reshape(-1, len(corners)).all(1)
        share = shared * target_areas[squares]
        matrix += scipy.sparse.coo_array((share, (squares, owner[quads])), shape=shape).tocsr()
    return matrix, whole, np.concatenate([*remaining, np.zeros(0, np.int64)])


def _positions(
    target: Grid, latitudes: np.ndarray, longitudes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns fractional rows and columns of points in a grid, counted from its first edges.

    Between two row edges of a latitude–longitude grid the fraction is linear in the sine of
    latitude, so that equal areas in the plane are equal areas on the sphere.

    Args:
        target: The grid.
        latitudes, longitudes: (n, k) points of n cells, degrees.

    Returns:
        Rows (n, k), columns (n, k), and the mask (n,) of cells whose edges are nearly straight in
        the plane.
    """
    if isinstance(target, CurvilinearGrid):
        rows, columns = (part + 0.5 for part in target.row_column(latitudes, longitudes))
        return rows, columns, np.ones(len(rows), bool)
    edges = target.column_edges()
    # Each cell's first point within 180° of the grid's middle, the others within 180° of the first.
    middle = (edges[0] + edges[-1]) / 2
    first = middle + (longitudes[:, :1] - middle + 180) % 360 - 180
    longitudes = first + (longitudes - first + 180) % 360 - 180
    bounds = np.sin(np.deg2rad(_row_bounds(target)))
    sign = -1 if target.descending else 1
    rows = fractional_index(sign * np.sin(np.deg2rad(latitudes)), sign * bounds)
    flat = np.ptp(longitudes, axis=1) < WIDEST
    return rows, fractional_index(longitudes, edges), flat


def _part_overlaps(
    grid: Grid, target: Grid, cells: np.ndarray, areas: np.ndarray, parts: int
) -> tuple[scipy.sparse.csr_array, np.ndarray]:
    """Returns shared areas of cells cut into parts, each counted by the place of its centre.

    Args:
        grid, target: The grids.
        cells: (n,) indices of the cells of ``grid``.
        areas: (H·W,) areas of all cells of ``grid``.
        parts: Number of parts along each side of a cell.

    Returns:
        The matrix and the mask of :func:`_overlaps`.
    """
    shape = (int(np.prod(target.shape)), areas.size)
    matrix, whole = scipy.sparse.csr_array(shape), np.zeros(areas.size, bool)
    step = max(1, _BLOCK // parts**2)
    for start in range(0, len(cells), step):
        some = cells[start : start + step]
        index = _cell_of(target, *_parts(grid, some, parts))
        inside = index >= 0
        whole[some] = inside.all(1)
        source = np.broadcast_to(some[:, None], index.shape)[inside]
        share = areas[source] / parts**2
        matrix += scipy.sparse.coo_array((share, (index[inside], source)), shape=shape).tocsr()
    return matrix, whole


def _leaks(
    grid: Grid, target: Grid, areas: np.ndarray, shape: tuple[int, int]
) -> scipy.sparse.csr_array:
    """Returns small artificial shared areas of cells with the target cells across the nearest edge.

    If an edge of both grids coincides, no cell overlaps the target cells on both sides of it. The
    fit only scales existing shares, so without these it could not move area across such an edge.
    """
    index = _cell_of(target, *grid.points()).reshape(grid.shape)
    cells = np.arange(index.size).reshape(grid.shape)
    found = []
    for axis in (0, 1):
        first, second = (
            (np.delete(index, place, axis).ravel(), np.delete(cells, place, axis).ravel())
            for place in (-1, 0)
        )
        apart = (first[0] != second[0]) & (first[0] >= 0) & (second[0] >= 0)
        found += [(first[0][apart], second[1][apart]), (second[0][apart], first[1][apart])]
    rows, columns = (np.concatenate(part) for part in zip(*found))
    return scipy.sparse.coo_array((LEAK * areas[columns], (rows, columns)), shape=shape).tocsr()


def _well_within(whole: np.ndarray, grid: Grid, cells: float) -> np.ndarray:
    """Returns the mask (H·W,) of cells within the other grid, without a rim.

    Areas of cells on the rim are not fitted, so that they absorb the errors of the others.

    Args:
        whole: (H·W,) mask of the cells that lie entirely within the other grid.
        grid: Grid of the cells.
        cells: Width of the rim in cells, rounded up to 1 or more.
    """
    width = max(1, int(np.ceil(cells)))
    eroded = scipy.ndimage.binary_erosion(
        whole.reshape(grid.shape), np.ones((3, 3)), iterations=width, border_value=1
    )
    return eroded.ravel()


def _fit(
    matrix: scipy.sparse.csr_array,
    row_sums: np.ndarray,
    column_sums: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
) -> None:
    """Scales the rows and columns of a matrix, in place, to given sums.

    Element (i, j) is multiplied by exp(aᵢ + bⱼ). This is the solution of iterative proportional
    fitting (Deming & Stephan 1940, doi:10.1214/aoms/1177731829), which needs thousands of
    iterations if errors extend over many cells; a and b are found by Newton's method instead.

    Args:
        matrix: (m, n) shared areas.
        row_sums: (m,) areas of the target's cells.
        column_sums: (n,) areas of the cells of the fields' grid.
        rows: (m,) mask of the rows to scale; other target cells are only partly covered.
        columns: (n,) mask of the columns to scale.
    """
    of_row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    chosen = np.concatenate([rows, columns]) & (_sums(matrix, of_row) > 0)
    wanted = np.concatenate([row_sums, column_sums])
    for _ in range(FITTINGS):
        sums = _sums(matrix, of_row)
        missing = np.where(chosen, wanted - sums, 0)
        if (np.abs(missing) <= MISFIT * wanted).all():
            break
        step = np.where(chosen, _newton_step(matrix, sums, chosen, missing), 0)
        step = np.clip(step, -LARGEST_STEP, LARGEST_STEP)
        matrix.data *= np.exp(step[of_row] + step[len(rows) + matrix.indices])
    # A last exact scaling of the rows preserves constants, even if Newton has not converged.
    sums = _sums(matrix, of_row)[: len(rows)]
    scale = np.divide(row_sums, sums, out=np.ones(len(rows)), where=chosen[: len(rows)])
    matrix.data *= scale[of_row]


def _sums(matrix: scipy.sparse.csr_array, of_row: np.ndarray) -> np.ndarray:
    """Returns the sums of all rows, then of all columns: (m + n,)."""
    return np.concatenate(
        [
            np.bincount(place, matrix.data, minlength=size)
            for place, size in zip((of_row, matrix.indices), matrix.shape)
        ]
    )


def _newton_step(
    matrix: scipy.sparse.csr_array, sums: np.ndarray, chosen: np.ndarray, missing: np.ndarray
) -> np.ndarray:
    """Returns Newton's step for the logarithms of the scales of rows and columns: (m + n,).

    The equations of the longer side have a diagonal matrix, so its unknowns are eliminated and a
    sparse symmetric system of the shorter side is solved by conjugate gradients.

    Args:
        matrix: (m, n) shared areas.
        sums: (m + n,) present sums of rows and columns.
        chosen: (m + n,) mask of the rows and columns to scale.
        missing: (m + n,) wanted minus present sums.
    """
    height = matrix.shape[0]
    if matrix.shape[0] > matrix.shape[1]:
        order = np.concatenate([np.arange(height, len(sums)), np.arange(height)])
        swapped = _newton_step(matrix.T.tocsr(), sums[order], chosen[order], missing[order])
        return swapped[np.argsort(order)]
    keep = scipy.sparse.diags_array(chosen[:height].astype(float))
    inverse = np.where(chosen[height:], 1 / np.where(sums[height:] > 0, sums[height:], 1), 0)
    across = keep @ matrix @ scipy.sparse.diags_array(inverse)
    diagonal = np.where(chosen[:height], sums[:height], 1)
    system = scipy.sparse.diags_array(diagonal) - across @ (keep @ matrix).T
    wanted = missing[:height] - across @ missing[height:]
    # The diagonal is zero for a cell that shares area with a single cell, which shares with no
    # other: 1 / 0 is avoided.
    inverse_diagonal = scipy.sparse.diags_array(1 / np.maximum(system.diagonal(), 1e-9 * diagonal))
    # A loose tolerance is enough: the next Newton step corrects the error of this one.
    short, _ = scipy.sparse.linalg.cg(
        system, wanted, rtol=2e-2, maxiter=MOST_PRODUCTS, M=inverse_diagonal
    )
    return np.concatenate([short, inverse * (missing[height:] - matrix.T @ short)])


def _inside(grid: Grid, other: Grid) -> np.ndarray:
    """Returns the mask (H·W,) of cells with all four corners within another grid."""
    near = 1 - 1e-6  # just inside the cell: its corners may lie on the other grid's outer edge
    cells = np.arange(grid.shape[0] * grid.shape[1])
    down, across = (part.ravel() for part in np.meshgrid([1 - near, near], [1 - near, near]))
    return (_cell_of(other, *_places(grid, cells, down, across)) >= 0).all(1)


def cell_areas(grid: Grid) -> np.ndarray:
    """Returns the areas (H, W) of a grid's cells on the unit sphere."""
    if isinstance(grid, CurvilinearGrid):
        return grid.cell_areas(1.0)
    heights = np.abs(np.diff(np.sin(np.deg2rad(_row_bounds(grid)))))
    return np.outer(heights, np.deg2rad(np.diff(grid.column_edges())))


def _row_bounds(grid: Grid) -> np.ndarray:
    """Returns the (H + 1,) latitudes between rows; those of a global grid end at the poles."""
    edges = grid.row_edges()
    if grid.is_global:
        edges[[0, -1]] = 90 * np.sign(edges[[0, -1]])
    return edges


def _near(grid: Grid, target: Grid) -> np.ndarray:
    """Returns the mask (H·W,) of cells close enough to the target to share area with it."""
    tree = scipy.spatial.cKDTree(unit_vectors(*target.points()).reshape(-1, 3))
    reach = 2 * (_longest(grid) + _longest(target))
    points = unit_vectors(*grid.points()).reshape(-1, 3)
    return np.isfinite(tree.query(points, distance_upper_bound=max(reach, 1e-6))[0])


def _longest(grid: Grid) -> float:
    """Returns the longest distance between neighbouring points on the unit sphere."""
    vectors = unit_vectors(*grid.points())
    steps = [np.linalg.norm(np.diff(vectors, axis=axis), axis=-1) for axis in (0, 1)]
    return max(float(step.max()) for step in steps if step.size)


def _parts(grid: Grid, cells: np.ndarray, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the latitudes and longitudes of the centres of cells' parts: (n, parts²) each.

    Args:
        grid: The grid.
        cells: (n,) indices of cells, row · W + column.
        parts: Number of parts along each side; all parts of a cell have nearly equal areas.
    """
    within = (np.arange(parts) + 0.5) / parts
    down, across = (part.ravel() for part in np.meshgrid(within, within, indexing="ij"))
    return _places(grid, cells, down, across)


def _places(
    grid: Grid, cells: np.ndarray, down: np.ndarray, across: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the latitudes and longitudes of points within cells: (n, k) each, degrees.

    Args:
        grid: The grid.
        cells: (n,) indices of cells, row · W + column.
        down, across: (k,) positions within a cell, 0 at its first row or column edge and 1 at the
            other.
    """
    row, column = np.divmod(cells, grid.shape[1])

    def along(edges: np.ndarray, cell: np.ndarray, part: np.ndarray) -> np.ndarray:
        return edges[cell][:, None] * (1 - part) + edges[cell + 1][:, None] * part

    if isinstance(grid, CurvilinearGrid):
        return grid.places_within(row[:, None] + down - 0.5, column[:, None] + across - 0.5)
    sine = along(np.sin(np.deg2rad(_row_bounds(grid))), row, down)
    return np.rad2deg(np.arcsin(sine)), along(grid.column_edges(), column, across)


def _cell_of(grid: Grid, latitudes: np.ndarray, longitudes: np.ndarray) -> np.ndarray:
    """Returns the index, row · W + column, of the cell that contains each point; −1 for none."""
    if isinstance(grid, CurvilinearGrid):
        row, column = (np.floor(p + 0.5) for p in grid.row_column(latitudes, longitudes))
    else:
        bounds, edges = _row_bounds(grid), grid.column_edges()
        sign = -1 if grid.descending else 1
        row = np.searchsorted(sign * bounds, sign * latitudes, side="right") - 1
        east = edges[0] + (longitudes - edges[0]) % 360
        column = np.searchsorted(edges, east, side="right") - 1
    inside = (row >= 0) & (row < grid.shape[0]) & (column >= 0) & (column < grid.shape[1])
    return np.where(inside, np.nan_to_num(row) * grid.shape[1] + np.nan_to_num(column), -1).astype(
        np.int64
    )
