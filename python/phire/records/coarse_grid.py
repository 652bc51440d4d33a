"""Coarse grid, with one point for each block of fine points, and coarse inputs on this grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from phire import progress
from phire.errors import InputError
from phire.fields.coarsening import ALIGNMENTS, coarsen_grid
from phire.fields.great_circle import angle, unit_vectors
from phire.fields.grid import EARTH_RADIUS, TOLERANCE, Grid
from phire.fields.regridding import Regridder
from phire.records.grid_points import (
    Points,
    aligned_points,
    axes_to_match,
    positions_on_axis,
)
from phire.records.input_files import InputFile

METHODS = ("bilinear", "conservative")
"""Methods of regridding a coarse input to the coarse grid."""


@dataclasses.dataclass(frozen=True)
class CoarseGrid:
    """Coarse grid of blocks, with the coarse points of context around them.

    Attributes:
        grid: All coarse points: the blocks, and the context points that every coarse input covers
            or misses by at most one block.
        blocks: (rows, columns) of blocks that every coarse input covers, from the first one.
        before: Rows and columns of ``grid`` before the first block.
        after: Rows and columns of ``grid`` after the last block.
        alignment: ``cell`` (a coarse point is the centre of its block) or ``corner`` (its first
            point).
    """

    grid: Grid
    blocks: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]
    alignment: str

    @property
    def inner(self) -> Grid:
        """Grid of the blocks, without the points around them."""
        return self.grid.subgrid(*(slice(b, b + n) for b, n in zip(self.before, self.blocks)))


@dataclasses.dataclass(frozen=True)
class CoarsePart:
    """A coarse input on the :class:`CoarseGrid`; a :class:`phire.fields.source.Source`.

    Attributes:
        file: The input.
        grid: The coarse grid.
        points: Rows and columns of the input at the coarse points; None if it must be regridded.
        regrid: Regridding to the coarse grid, where ``points`` is None.
    """

    file: InputFile
    grid: Grid
    points: Points | None
    regrid: Regridder | None

    channels = property(lambda self: self.file.channels)
    units = property(lambda self: self.file.units)
    time = property(lambda self: self.file.time)

    def read(self, times: Sequence[int]) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        fields = self.file.read(times)
        if self.points is None:
            return self.regrid(fields)
        return fields[:, self.points[0][:, None], self.points[1]]

    def read_planes(self, time: int) -> np.ndarray:
        """Reads one field, channels first: (C, h, w) float32."""
        if self.points is None:
            return np.ascontiguousarray(np.moveaxis(self.read([time])[0], -1, 0))
        return self.file.read_planes(time)[:, self.points[0][:, None], self.points[1]]


def coarse_grid(
    inputs: Sequence[InputFile], high: InputFile, scale: int, alignment: str | None, margin: int,
    coarsened: bool,
) -> CoarseGrid:  # fmt: skip
    """Returns the coarse grid that all inputs cover; each may lack one block at its edges.

    Args:
        inputs: The coarse inputs.
        high: The fine fields.
        scale: Ratio of the resolutions.
        alignment: ``cell`` or ``corner``; by default the alignment of the first input that
            has one of them, else ``cell``.
        margin: Coarse points of context wanted on each side.
        coarsened: True if coarsened targets are among the coarse channels; the grid then ends
            with the fine fields.

    Raises:
        InputError: An input leaves more than one block of the fine fields uncovered, or an input
            without coordinates has another number of pixels.
    """
    if alignment is None:
        found = [
            name
            for file in inputs
            for name in ALIGNMENTS
            if _reach(file, coarsen_grid(high.grid, scale, name)) is not None
        ]
        alignment = found[0] if found else "cell"
    wanted = coarsen_grid(high.grid, scale, alignment)
    blocks = np.array(wanted.shape)
    for file in inputs:
        blocks = np.minimum(blocks, _covered_blocks(file, high, wanted, scale))
    if (blocks < wanted.shape).any():
        progress.say(
            f"Note: the coarse input ends {wanted.shape[0] - blocks[0]} rows and "
            f"{wanted.shape[1] - blocks[1]} columns of blocks before {high.path} does; the fine "
            "points beyond it are left out."
        )
    wanted = wanted.subgrid(slice(0, blocks[0]), slice(0, blocks[1]))
    closes = high.grid.wraps and blocks[1] * scale == high.grid.shape[1]
    spacing = [s * scale for s in high.grid.spacing]
    reaches = np.zeros((2, 2), int)
    if margin and high.grid.has_coordinates and not coarsened:
        reaches[:] = margin
        reaches[1] = 0 if closes else margin
        outer = _extended(wanted, spacing, reaches)
        for file in inputs:
            reaches = np.minimum(reaches, _beyond(file, outer, reaches, spacing))
    grid = _extended(wanted, spacing, reaches) if reaches.any() else wanted
    before, after = ((int(reaches[0, i]), int(reaches[1, i])) for i in (0, 1))
    return CoarseGrid(grid, tuple(map(int, blocks)), before, after, alignment)


def coarse_part(file: InputFile, coarse: CoarseGrid, method: str, coarse_scale: int) -> CoarsePart:
    """Returns an input on the coarse grid, regridded if its points are not those of the grid.

    Points beyond the outermost cells of the input get its nearest values. Prints a note if the
    input is regridded or extrapolated.

    Args:
        file: The input.
        coarse: The grid.
        method: ``bilinear`` or ``conservative``.
        coarse_scale: Fine points along each side of a block, for the message.
    """
    if method not in METHODS:
        raise InputError(f"--regrid {method} must be one of {', '.join(METHODS)}.")
    note = _extrapolation_note(file, coarse.grid)
    if note is not None:
        progress.say(note)
    points = _pixel_points(file, coarse) or aligned_points(file.grid, coarse.grid)
    if points is not None:
        return CoarsePart(file, coarse.grid, points, None)
    ratio = np.array(file.grid.spacing) / np.array(coarse.grid.spacing)
    progress.say(
        f"{file} ({file.grid.describe()}) is regridded to the {coarse_scale} × {coarse_scale} "
        f"blocks by {method} interpolation (its spacing is {ratio[0]:.3g} and {ratio[1]:.3g} "
        "times that of the blocks)."
        if method == "bilinear"
        else f"{file} ({file.grid.describe()}) is regridded to the {coarse_scale} × "
        f"{coarse_scale} blocks by conservative remapping."
    )
    return CoarsePart(
        file, coarse.grid, None, Regridder(file.grid, coarse.grid, method, extrapolate=True)
    )


def _extrapolation_note(file: InputFile, wanted: Grid) -> str | None:
    """Returns a note on how far the wanted points reach beyond an input; None if they do not.

    Args:
        file: The input.
        wanted: The coarse grid.
    """
    if not (file.grid.has_coordinates and wanted.has_coordinates):
        return None
    short = _sides(_shortfall(file.grid, wanted))
    if not short:
        return None
    return (
        f"Note: {file} ends {short} before the outermost coarse points; its nearest values are "
        "used there."
    )


def _sides(short: Mapping[str, float]) -> str:
    """Returns degrees in words: ``0.5° in the south and 1° in the east``; empty if all are 0."""
    return " and ".join(f"{value:.4g}° in the {side}" for side, value in short.items() if value)


def _pixel_points(file: InputFile, coarse: CoarseGrid) -> Points | None:
    """Returns the rows and columns of an input without coordinates, except a partial last block."""
    if file.grid.has_coordinates or coarse.grid.has_coordinates:
        return None
    return tuple(np.arange(n) for n in coarse.grid.shape)


def _reach(file: InputFile, wanted: Grid) -> tuple[int, int] | None:
    """Counts the rows and columns of a grid that an input holds, from the first one on.

    At most one may be missing at the end, because a model's coarse grid may end one block before
    its fine grid. Returns None if more are missing or the input lies on other points.
    """
    if not (file.grid.has_coordinates and wanted.has_coordinates):
        return None
    counts = []
    for values, places, turn, near in axes_to_match(file.grid, wanted):
        found = positions_on_axis(values, places, turn, near) >= 0
        counts.append(len(found) if found.all() else int(np.argmin(found)))  # up to the first gap
    near = all(n >= max(size - 1, 1) for n, size in zip(counts, wanted.shape))
    return tuple(counts) if near else None


def _covered_blocks(file: InputFile, high: InputFile, wanted: Grid, scale: int) -> tuple[int, int]:
    """Counts the rows and columns of blocks that an input covers, from the first one on."""
    if file.grid.has_coordinates != high.grid.has_coordinates:
        raise InputError(
            f"{file} ({file.grid.describe()}) and {high.path} ({high.grid.describe()}) must both "
            "have coordinates, or neither."
        )
    if not high.grid.has_coordinates:
        # Without coordinates only sizes can be compared: whole blocks, the last perhaps partial.
        allowed = [(n // scale, -(-n // scale)) for n in high.grid.shape]
        if all(n in sizes for n, sizes in zip(file.grid.shape, allowed)):
            _refuse_elsewhere(file, high, wanted)
            return wanted.shape
        ratio = np.array(high.grid.shape) / np.array(file.grid.shape)
        raise InputError(
            f"{file} ({file.grid.describe()}) needs one point for each {scale} × {scale} block of "
            f"{high.path} ({high.grid.describe()}), but the rows and columns of the two differ by "
            f"factors of {ratio[0]:.4g} and {ratio[1]:.4g}: check --scale, or give both "
            "coordinates."
        )
    reach = _reach(file, wanted)
    if reach is not None:
        return reach
    short = _shortfall(file.grid, wanted)
    blocks = [s * scale for s in high.grid.spacing]
    if any(short[side] > blocks[side in ("west", "east")] + TOLERANCE for side in short):
        raise InputError(
            f"{file} ({file.grid.describe()}) does not cover the fine fields {high.path} "
            f"({high.grid.describe()}): {_sides(short)} is missing, more than one coarse point of "
            f"{blocks[0]:.4g}° × {blocks[1]:.4g}°; cut the fine fields with `phire convert "
            f"--region {_region(file.grid)}`, or give a larger file."
        )
    return wanted.shape


def _refuse_elsewhere(file: InputFile, high: InputFile, wanted: Grid) -> None:
    """Raises an InputError if points of a projected coarse input lie outside their blocks."""
    grid = file.grid
    if not (grid.has_points and wanted.has_points):
        return
    size = [slice(0, min(pair)) for pair in zip(grid.shape, wanted.shape)]
    one, other = (unit_vectors(*(values[tuple(size)] for values in g.points()))
                  for g in (grid, wanted))  # fmt: skip
    apart = float(angle(one, other).max()) * EARTH_RADIUS / 1e3
    if apart > max(wanted.spacing_km()):
        raise InputError(
            f"{file} ({grid.describe()}) lies up to {apart:.4g} km from the blocks of {high.path} "
            f"({high.grid.describe()}): regrid it to the blocks with `phire regrid --like`."
        )


def _shortfall(grid: Grid, wanted: Grid) -> dict[str, float]:
    """Computes the distance in degrees from the edges of a grid to another's outermost points.

    It is 0 on sides where the grid covers these points.
    """
    rows, columns = (0 if np.isnan(s) else s / 2 + TOLERANCE for s in grid.spacing)
    north, south = grid.latitudes.max() + rows, grid.latitudes.min() - rows
    short = {
        "north": max(0.0, wanted.latitudes.max() - north),
        "south": max(0.0, south - wanted.latitudes.min()),
    }
    if grid.wraps:
        return short
    # One grid may count longitudes from −180 and the other from 0, so the wanted longitudes are
    # shifted by a multiple of 360° to put the centres of both grids at most 180° apart.
    middle = grid.longitudes[[0, -1]].mean()
    shift = middle + (wanted.longitudes[[0, -1]].mean() - middle + 180) % 360 - 180
    places = wanted.longitudes - wanted.longitudes[[0, -1]].mean() + shift
    short["west"] = max(0.0, grid.longitudes[0] - columns - places[0])
    short["east"] = max(0.0, places[-1] - grid.longitudes[-1] - columns)
    return short


def _region(grid: Grid) -> str:
    """Returns the bounds of a grid's cells in the form of ``--region``."""
    rows, columns = (0 if np.isnan(s) else s / 2 for s in grid.spacing)
    bounds = (
        min(90, grid.latitudes.max() + rows), grid.longitudes[0] - columns,
        max(-90, grid.latitudes.min() - rows), grid.longitudes[-1] + columns,
    )  # fmt: skip
    return ",".join(f"{bound:.6g}" for bound in bounds)


def _extended(wanted: Grid, spacing: Sequence[float], reaches: np.ndarray) -> Grid:
    """Returns a grid with points added before and after its rows and columns.

    Args:
        wanted: The grid.
        spacing: Spacing of the points to add.
        reaches: (2, 2) number of rows before and after, and of columns before and after.
    """
    axes = []
    for values, width, (before, after) in zip(
        (wanted.latitudes, wanted.longitudes), spacing, reaches
    ):
        step = values[1] - values[0] if len(values) > 1 else width
        last = values[-1] - values[-2] if len(values) > 1 else width
        if len(values) == 1 and values is wanted.latitudes:
            step, last = -step, -last  # rows run from north to south
        head = values[0] - step * np.arange(before, 0, -1)
        tail = values[-1] + last * np.arange(1, after + 1)
        axes.append(np.concatenate([head, values, tail]))
    return Grid.regional(*axes)


def _beyond(
    file: InputFile, outer: Grid, reaches: np.ndarray, blocks: Sequence[float]
) -> np.ndarray:
    """Counts the context points around the blocks that an input reaches, (2, 2).

    An input reaches one block beyond its outermost cells, where its nearest values are used.

    Args:
        file: The input.
        outer: Grid of the blocks and all context points asked for.
        reaches: (2, 2) number of context points asked for: rows before and after, columns before
            and after.
        blocks: Height and width of a block, degrees.
    """
    found = np.zeros((2, 2), int)
    rows, columns = (
        (0 if np.isnan(s) else s / 2) + block + TOLERANCE
        for s, block in zip(file.grid.spacing, blocks)
    )
    for axis, (values, places) in enumerate(
        ((file.grid.latitudes, outer.latitudes), (file.grid.longitudes, outer.longitudes))
    ):
        if axis:
            middle = values[[0, -1]].mean()
            places = middle + (places - middle + 180) % 360 - 180
            inside = np.abs(places - middle) <= np.ptp(values) / 2 + columns
            inside |= file.grid.wraps
        else:
            inside = (places <= values.max() + rows) & (places >= values.min() - rows)
            inside &= np.abs(places) <= 90
        before, after = reaches[axis]
        head, tail = inside[:before][::-1], inside[len(inside) - after :]
        found[axis] = [np.cumprod(part).sum() if len(part) else 0 for part in (head, tail)]
    return found
