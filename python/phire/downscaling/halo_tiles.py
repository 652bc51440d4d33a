"""Application of a network to whole fields, tile by tile, with the result of a single pass."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from phire.fields.grid import Grid

WRAP = 8
"""Coarse points by which a global field that is one tile is extended around the globe."""

Network = Callable[[dict[str, np.ndarray]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Extension:
    """Extension of global fields beyond their edges, around longitude and across the poles.

    The row beyond a pole is a row on this side of it, shifted by 180° of longitude. Fields are
    extended across a pole only if their rows come up to it, and regional fields not at all.

    Attributes:
        rows: Index of the source row of each extended row, (h + top + bottom,).
        opposite: True for extended rows that are shifted by 180°, of the same shape.
        columns: Index of the source column of each extended column, (w + left + right,).
        top, bottom, left, right: Numbers of rows and columns added on each side.
    """

    rows: np.ndarray
    opposite: np.ndarray
    columns: np.ndarray
    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def of(cls, grid: Grid, size: int) -> Extension:
        """Returns the extension of a global grid; that of a regional grid adds nothing.

        Args:
            grid: Grid of the fields.
            size: Number of rows and columns to add on each side.
        """
        height, width = grid.shape
        rows, opposite = np.arange(height), np.zeros(height, bool)
        if not grid.wraps or not size:
            return cls(rows, opposite, np.arange(width), 0, 0, 0, 0)
        top = bottom = 0
        reach = min(size, height - 1)
        north, south = (90 - abs(grid.latitudes[i]) for i in (0, -1))
        spacing = grid.spacing[0]
        for side, distance in (("top", north), ("bottom", south)):
            if distance > 0.75 * spacing:
                continue  # a row is missing between the edge and the pole
            # A row on the pole is its own mirror image, so the mirrored rows begin after it. If the
            # edge is half a spacing from the pole, the edge row itself is mirrored first.
            first = 1 if distance < spacing / 4 else 0
            mirrored = np.arange(first, first + reach) % height
            if side == "top":
                rows = np.concatenate([mirrored[::-1], rows])
                opposite = np.concatenate([np.ones(reach, bool), opposite])
                top = reach
            else:
                rows = np.concatenate([rows, height - 1 - mirrored])
                opposite = np.concatenate([opposite, np.ones(reach, bool)])
                bottom = reach
        columns = np.arange(-size, width + size) % width
        return cls(rows, opposite, columns, top, bottom, size, size)

    def without(self, margin: int) -> Extension:
        """Returns the extension with ``margin`` fewer rows and columns on the extended sides."""
        top, bottom, left, right = (
            max(n - margin, 0) for n in (self.top, self.bottom, self.left, self.right)
        )
        rows = slice(self.top - top, len(self.rows) - (self.bottom - bottom))
        columns = self.columns[self.left - left : len(self.columns) - (self.right - right)]
        return Extension(
            self.rows[rows], self.opposite[rows], columns, top, bottom, left, right
        )  # fmt: skip

    def __call__(self, fields: np.ndarray, scale: int = 1) -> np.ndarray:
        """Extends fields.

        Args:
            fields: Fields, (…, h·scale, w·scale, C).
            scale: Fine points per point of the grid along each axis; blocks of them are extended
                as a whole.
        """
        if not (self.top or self.bottom or self.left or self.right):
            return fields
        within = np.arange(scale)
        # Beyond a pole the rows of a block are in reverse order.
        rows = np.concatenate(
            [
                row * scale + (within[::-1] if across else within)
                for row, across in zip(self.rows, self.opposite)
            ]
        )
        opposite = self.opposite.repeat(scale)
        columns = (self.columns[:, None] * scale + within).ravel()
        extended = fields[..., rows, :, :][..., columns, :]
        if opposite.any():
            width = fields.shape[-2]
            # 180° of longitude, rounded down to whole blocks.
            shifted = (columns + width // scale // 2 * scale) % width
            extended[..., opposite, :, :] = fields[..., rows[opposite], :, :][..., shifted, :]
        return extended


def with_margin(low: np.ndarray, grid: Grid, margin: int) -> np.ndarray:
    """Adds coarse points of context on every side: those across the seam or pole, or edge values.

    Args:
        low: Coarse fields without missing values, (…, h, w, C).
        grid: Grid of the fields.
        margin: Number of rows and columns to add.

    Returns:
        Fields of shape (…, h + 2·margin, w + 2·margin, C).
    """
    if not margin:
        return low
    extension = Extension.of(grid, margin)
    low = extension(low)
    lacking = [
        (max(0, margin - before), max(0, margin - after))
        for before, after in (
            (extension.top, extension.bottom), (extension.left, extension.right),
        )
    ]  # fmt: skip
    return np.pad(low, [(0, 0)] * (low.ndim - 3) + [*lacking, (0, 0)], mode="edge")


def apply_in_tiles(
    network: Network,
    low: np.ndarray,
    grid: Grid,
    *,
    scale: int,
    halo: int | None,
    tile: int,
    coarse: Mapping[str, np.ndarray] | None = None,
    fine: Mapping[str, np.ndarray] | None = None,
    constant: Mapping[str, np.ndarray] | None = None,
    margin: int = 0,
    position: tuple[int, int] | None = None,
    channels: int | None = None,
    fixed: bool = False,
) -> np.ndarray:
    """Applies a network that refines by ``scale`` to fields of any size, tile by tile.

    Every tile is read with a halo as wide as the network's receptive field, so the result equals
    that of a single pass over the whole field. Tiles at an edge of the field have no halo there,
    and see the same edge as a single pass.

    Args:
        network: Function of a batch of tiles, as arrays by name, that returns (B, H, W, C).
        low: Normalised coarse fields, (n, …, h + 2·margin, w + 2·margin, Cl).
        grid: Coarse grid without the margin, h × w.
        scale: Refinement factor.
        halo: Halo in coarse points; None to process each field as one tile, which is extended by
            :data:`WRAP` points around the globe if ``fixed`` is False.
        tile: Largest side of a tile without its halo, in coarse points.
        coarse: Further arrays of the shape of ``low``, by name.
        fine: Further arrays on the fine grid by name, (n, …, h·scale, w·scale, Ca).
        constant: Arrays by name that are the same for all tiles of a field, (n, …).
        margin: Coarse points of context on every side of ``low``.
        position: Row and column of the first fine point in the domain, from which the input
            ``position`` of each tile is computed; None if the network does not read it.
        channels: Number of output channels; None for as many as ``low`` has.
        fixed: True if the network takes one size only.

    Returns:
        Fine fields, (n, h·scale, w·scale, C) float32.
    """
    height, width = grid.shape
    if halo is None:
        # Without points across the seam, a U-Net with normalization by group showed it: jumps of
        # vorticity there were 2.8 times those between other neighbours.
        halo, tile = WRAP if grid.wraps and not fixed else 0, max(height, width)
    extension = Extension.of(grid, halo + margin if halo else 0)
    context = extension.without(margin)
    lows = {
        name: _extended_low(array, extension, context, margin)
        for name, array in {"low": low, **(coarse or {})}.items()
    }
    low = lows["low"]
    maps = {name: context(array, scale) for name, array in (fine or {}).items()}
    # Rows and columns of the extended fields without their margin.
    full = tuple(size - 2 * margin for size in low.shape[-3:-1])
    first = context.top, context.left
    groups = collections.defaultdict(list)
    for row in range(0, height, tile):
        for column in range(0, width, tile):
            inner = (row, min(row + tile, height)), (column, min(column + tile, width))
            one = _Tile.of(inner, first, full, halo, scale)
            groups[one.shape] += [(i, one) for i in range(len(low))]
    result = np.empty(
        (len(low), height * scale, width * scale, channels or low.shape[-1]), np.float32
    )
    for shape, same_shape in groups.items():
        # A batch has as many points as one full tile, but at least two tiles: a convolution of a
        # single image takes twice the time per image on a CPU.
        together = max(2, (tile + 2 * halo) ** 2 // math.prod(shape))
        for start in range(0, len(same_shape), together):
            some = same_shape[start : start + together]
            batch = {
                name: np.stack([array[(i, ..., *one.coarse(margin))] for i, one in some])
                for name, array in lows.items()
            }
            for name, array in maps.items():
                batch[name] = np.stack([array[(i, ..., *one.fine(scale))] for i, one in some])
            for name, array in (constant or {}).items():
                batch[name] = np.stack([array[i] for i, _ in some])
            if position is not None:
                batch["position"] = np.array(
                    [one.position(position, first, scale) for _, one in some], np.int32
                )
            for (i, one), output in zip(some, network(batch)):
                result[(i, *one.target)] = output[one.cut]
    return result


def _extended_low(
    low: np.ndarray, extension: Extension, context: Extension, margin: int
) -> np.ndarray:
    """Extends coarse fields that have a margin to the points of ``context`` and its margin."""
    if not margin:
        return extension(low)
    if not extension.right:
        return low  # a regional field, or a global one without a halo
    extended = extension(low[..., margin:-margin, margin:-margin, :])
    # If the rows do not come up to a pole, the margin beyond them repeats the edge.
    lacking = [
        margin - (extension.top - context.top), margin - (extension.bottom - context.bottom)
    ]  # fmt: skip
    return np.pad(extended, [(0, 0)] * (low.ndim - 3) + [lacking, (0, 0), (0, 0)], mode="edge")


@dataclasses.dataclass(frozen=True)
class _Tile:
    """Position of a tile in the extended fields, in coarse points.

    Attributes:
        outer: Start and stop of the rows and of the columns, halo included.
        cut: Fine points of the network's output that remain without the halo.
        target: Position of these points in the fine field.
    """

    outer: tuple[tuple[int, int], tuple[int, int]]
    cut: tuple[slice, slice]
    target: tuple[slice, slice]

    @classmethod
    def of(
        cls,
        inner: tuple[tuple[int, int], tuple[int, int]],
        first: tuple[int, int],
        full: tuple[int, int],
        halo: int,
        scale: int,
    ) -> _Tile:
        """Adds the halo to the tile ``inner``, as far as the extended fields reach.

        Args:
            inner: Start and stop of the tile's rows and columns in the fields.
            first: Row and column of the fields' first point in the extended fields.
            full: Rows and columns of the extended fields.
            halo: Halo in coarse points.
            scale: Refinement factor.
        """
        outer = tuple(
            (max(start + before - halo, 0), min(stop + before + halo, size))
            for (start, stop), before, size in zip(inner, first, full)
        )
        cut = tuple(
            slice((start + before - edge[0]) * scale, (stop + before - edge[0]) * scale)
            for (start, stop), before, edge in zip(inner, first, outer)
        )
        return cls(outer, cut, tuple(slice(a * scale, b * scale) for a, b in inner))

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns in coarse points, halo included."""
        return tuple(stop - start for start, stop in self.outer)

    def coarse(self, margin: int) -> tuple[slice, slice, slice]:
        """Returns the slices of the tile with its margin in extended coarse fields."""
        return (*(slice(a, b + 2 * margin) for a, b in self.outer), slice(None))

    def fine(self, scale: int) -> tuple[slice, slice, slice]:
        """Returns the slices of the tile in extended fine fields."""
        return (*(slice(a * scale, b * scale) for a, b in self.outer), slice(None))

    def position(
        self, origin: tuple[int, int], first: tuple[int, int], scale: int
    ) -> tuple[int, ...]:
        """Returns the row and column of the tile's first fine point in the domain.

        Args:
            origin: Row and column of the fields' first fine point in the domain.
            first: Row and column of the fields' first point in the extended fields.
            scale: Refinement factor.
        """
        return tuple(
            o + (edge[0] - before) * scale for o, edge, before in zip(origin, self.outer, first)
        )
