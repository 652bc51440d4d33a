"""Explicit pairs: finding where and when a low resolution lies on the blocks of a high one."""

from __future__ import annotations

import dataclasses

import numpy as np

from phire.errors import InputError
from phire.fields import units
from phire.fields.coarsening import ALIGNMENTS, coarsen_grid
from phire.fields.grid import Grid
from phire.fields.store import FieldStore

SAME_PLACE = 0.02
"""Share of the low resolution's spacing by which its points may miss their places."""


@dataclasses.dataclass(frozen=True)
class Match:
    """Where and when a low resolution lies on the blocks of a high one.

    Attributes:
        window: Its rows and columns that do, beginning at the first block.
        grid: Their grid.
        times: (fields of the high resolution,) index of its field of the same time; -1 for none.
    """

    window: tuple[slice, slice]
    grid: Grid
    times: np.ndarray


def match_low(low: FieldStore, high: FieldStore, scale: int, alignment: str) -> Match:
    """Matches a low to a high resolution.

    Args:
        low, high: The stores.
        scale: Ratio of their spacings.
        alignment: ``cell`` or ``corner``.

    Raises:
        InputError: The two do not fit; the message says in what.
    """
    different = units.difference(high.channels, low.units, high.units)
    if low.channels != high.channels or different:
        raise InputError(
            f"--low {low.path} holds {_content(low)}, {high.path} holds {_content(high)}: both "
            "must hold the same channels in the same units."
        )
    if low.grid.has_coordinates != high.grid.has_coordinates:
        raise InputError(
            f"--low {low.path} ({low.grid.describe()}) and {high.path} ({high.grid.describe()}) "
            "must both have coordinates, or neither."
        )
    found = _common_window(low.grid, high.grid, scale, alignment)
    if found is None:
        raise InputError(
            f"--low {low.path} ({low.grid.describe()}) does not lie on the {alignment}s of {scale} "
            f"× {scale} blocks of {high.path} ({high.grid.describe()}): "
            f"{_remedy(low.grid, high.grid, scale, alignment)}."
        )
    return Match(found, low.grid.subgrid(*found), _common_times(low, high))


def _content(store: FieldStore) -> str:
    return ", ".join(f"{n} ({u or 'units unknown'})" for n, u in zip(store.channels, store.units))


def _common_window(low: Grid, high: Grid, scale: int, alignment: str) -> tuple[slice, slice] | None:
    wanted = coarsen_grid(high, scale, alignment)
    if not low.has_coordinates:
        # Without coordinates the sizes alone tell: whole blocks, perhaps one that is cut short.
        cut_short = [(n // scale, -(-n // scale)) for n in high.shape]
        if any(n not in sizes for n, sizes in zip(low.shape, cut_short)):
            return None
        return slice(0, wanted.shape[0]), slice(0, wanted.shape[1])
    rows = _common(low.latitudes, wanted.latitudes)
    columns = _common(low.longitudes, wanted.longitudes)
    return None if rows is None or columns is None else (rows, columns)


def _common(low: np.ndarray, wanted: np.ndarray) -> slice | None:
    """The stretch of ``low`` that equals the beginning of ``wanted``."""
    if len(low) < 2 or len(wanted) < 2:
        return None
    near = SAME_PLACE * abs(low[1] - low[0])
    start = np.flatnonzero(np.abs(low - wanted[0]) < near)
    if not len(start):
        return None
    count = min(len(low) - start[0], len(wanted))
    stretch = slice(int(start[0]), int(start[0] + count))
    return stretch if (np.abs(low[stretch] - wanted[:count]) < near).all() else None


def _remedy(low: Grid, high: Grid, scale: int, alignment: str) -> str:
    (other,) = (name for name in ALIGNMENTS if name != alignment)
    if _common_window(low, high, scale, other) is not None:
        return f"they lie on the {other}s, so give --alignment {other}"
    ratios = np.array(low.spacing) / np.array(high.spacing)
    if not low.has_coordinates:
        ratios = np.array(high.shape) / np.array(low.shape)
    text = " and ".join(f"{ratio:.4g}" for ratio in ratios)
    return (
        f"its spacing is {text} times as wide (rows and columns), so check --scale, the corner at "
        "which both begin and the order of rows, or regrid one of them"
    )


def _common_times(low: FieldStore, high: FieldStore) -> np.ndarray:
    times = np.full(len(high.time), -1, dtype=np.int64)
    calendars = {high.time.has_calendar, low.time.has_calendar}
    if calendars == {True} or calendars == {False}:
        for axis in (low.time, high.time):
            if len(axis.repeated()):
                raise InputError(
                    "a time occurs more than once, so that fields of the two resolutions cannot be "
                    f"matched ({axis.format(int(axis.repeated()[0]))}): drop the repetition."
                )
        _, mine, theirs = np.intersect1d(low.time.values, high.time.values, return_indices=True)
        times[theirs] = mine
    if (times < 0).all():
        raise InputError(
            f"--low {low.path} ({low.time.format(0)} to {low.time.format(-1)}) and {high.path} "
            f"({high.time.format(0)} to {high.time.format(-1)}) have no time in common."
        )
    return times
