"""Application of a network to whole fields in tiles, with the result of a single pass."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from phire.fields.grid import Grid

Network = Callable[[dict[str, np.ndarray]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Extension:
    """Continuation of fields beyond their edges where the globe goes on.

    Around the circle of longitude where the grid closes it, and across the poles where its rows
    come up to them (the row beyond is one on this side, half way around).

    Attributes:
        rows: (h + top + bottom,) rows of the fields that the extended ones show.
        opposite: The same, True where they are seen half way around.
        columns: (w + left + right,) columns.
        top, bottom, left, right: Rows and columns added on each side.
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
        """Extends the globe by some rows and columns, a region by none.

        Args:
            grid: The grid of the fields.
            size: Rows and columns to add on each side.
        """
        height, width = grid.shape
        rows, opposite = np.arange(height), np.zeros(height, bool)
        if not grid.wraps or not size:
            return cls(rows, opposite, np.arange(width), 0, 0, 0, 0)
        top = bottom = 0
        reach = min(size, height - 1)
        north, south = (90 - abs(grid.latitudes[i]) for i in (0, -1))
        spacing = grid.spacing[0]
        # A row on the pole is its own mirror; rows half a spacing off it have one beyond.
        for side, distance in (("top", north), ("bottom", south)):
            if distance > 0.75 * spacing:
                continue  # a row is missing between here and the pole: the edge stays one
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
        """Returns the extension with fewer rows and columns on the sides that have some."""
        top, bottom, left, right = (
            max(n - margin, 0) for n in (self.top, self.bottom, self.left, self.right)
        )
        rows = slice(self.top - top, len(self.rows) - (self.bottom - bottom))
        columns = self.columns[self.left - left : len(self.columns) - (self.right - right)]
        return Extension(
            self.rows[rows], self.opposite[rows], columns, top, bottom, left, right
        )  # fmt: skip

    def __call__(self, fields: np.ndarray, scale: int = 1) -> np.ndarray:
        """Extends fields (…, h·scale, w·scale, C), block by block where they are finer."""
        if not (self.top or self.bottom or self.left or self.right):
            return fields
        within = np.arange(scale)
        # Beyond a pole a block's rows come in the opposite order.
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
            turned = (columns + width // scale // 2 * scale) % width
            extended[..., opposite, :, :] = fields[..., rows[opposite], :, :][..., turned, :]
        return extended


def with_margin(low: np.ndarray, grid: Grid, margin: int) -> np.ndarray:
    """Adds coarse points of context on every side: the globe's, else the nearest at the edge.

    Args:
        low: (…, h, w, C) without missing values.
        grid: Their grid.
        margin: Rows and columns to add.
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
) -> np.ndarray:
    """Applies a network that refines by ``scale`` to fields of any size.

    Every tile is read with a halo as wide as the network's receptive field, so that what the tile
    keeps is what the network makes of the whole field; at the field's own edges there is no halo,
    and both see the same edge.

    Args:
        network: Arrays by name, of one batch of tiles, → (B, H, W, C).
        low: (n, …, h + 2·margin, w + 2·margin, Cl), normalised.
        grid: The coarse grid, h × w.
        scale: Refinement.
        halo: Coarse pixels; None takes each field as one tile.
        tile: Largest side of a tile without its halo, coarse pixels.
        coarse: Further arrays of the shape of ``low`` by name.
        fine: Further maps (n, …, h·scale, w·scale, Ca) by name.
        constant: Arrays (n, …) by name that are the same for all tiles of a field.
        margin: Coarse points of context around ``low``.
        position: Row and column of the first fine point in the domain, to be passed on for each
            tile as the array ``position``; None where it is not needed.
        channels: Channels of the output; by default those of ``low``.

    Returns:
        (n, h·scale, w·scale, C) float32.
    """
    height, width = grid.shape
    if halo is None:
        halo, tile = 0, max(height, width)
    extension = Extension.of(grid, halo + margin if halo else 0)
    context = extension.without(margin)
    lows = {
        name: _extended_low(array, extension, context, margin)
        for name, array in {"low": low, **(coarse or {})}.items()
    }
    low = lows["low"]
    maps = {name: context(array, scale) for name, array in (fine or {}).items()}
    # (rows, columns) of the extended fields without their margin.
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
    for shape, alike in groups.items():
        # Many small ones at once, but never more than two full ones; never one by one where that
        # can be helped, for the convolutions of a single image take twice as long on a CPU.
        together = max(2, (tile + 2 * halo) ** 2 // math.prod(shape))
        for start in range(0, len(alike), together):
            some = alike[start : start + together]
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
            for (i, one), made in zip(some, network(batch)):
                result[(i, *one.target)] = made[one.cut]
    return result


def _extended_low(
    low: np.ndarray, extension: Extension, context: Extension, margin: int
) -> np.ndarray:
    """Extends coarse fields with their margin to the rows and columns of ``context`` with it."""
    if not margin:
        return extension(low)
    if not extension.right:
        return low  # a region, or the globe without a halo
    extended = extension(low[..., margin:-margin, margin:-margin, :])
    # Beyond a pole that the rows do not reach lies only the margin that was given.
    lacking = [
        margin - (extension.top - context.top), margin - (extension.bottom - context.bottom)
    ]  # fmt: skip
    return np.pad(extended, [(0, 0)] * (low.ndim - 3) + [lacking, (0, 0), (0, 0)], mode="edge")


@dataclasses.dataclass(frozen=True)
class _Tile:
    """Place of a tile, in coarse points of the extended fields.

    Attributes:
        outer: First and last row, first and last column, the halo included.
        cut: The part of the network's output that it keeps.
        target: Where this goes in the fine field.
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
        return tuple(stop - start for start, stop in self.outer)

    def coarse(self, margin: int) -> tuple[slice, slice, slice]:
        return (*(slice(a, b + 2 * margin) for a, b in self.outer), slice(None))

    def fine(self, scale: int) -> tuple[slice, slice, slice]:
        return (*(slice(a * scale, b * scale) for a, b in self.outer), slice(None))

    def position(
        self, origin: tuple[int, int], first: tuple[int, int], scale: int
    ) -> tuple[int, ...]:
        return tuple(
            o + (edge[0] - before) * scale for o, edge, before in zip(origin, self.outer, first)
        )
