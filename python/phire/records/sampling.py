"""Drawing samples: which patches, where, and for pairs how far apart in time.

The whole plan is drawn from the seed before the first field is read, so that it depends on nothing
else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.time import TimeAxis


@dataclasses.dataclass(frozen=True)
class Window:
    """The rows and columns at which a patch may begin.

    Attributes:
        rows: First and last first row (inclusive).
        columns: Number of first columns, from 0.
        wraps: Whether a patch may run across the last column.
    """

    rows: tuple[int, int]
    columns: int
    wraps: bool


def window(
    grid: Grid, patch: tuple[int, int], latitudes: tuple[float, float] | None, multiple: int = 1
) -> Window:
    """Where patches of a size may lie.

    Args:
        grid: The grid of the fields.
        patch: (H, W).
        latitudes: (south, north) between which the patch's centre lies; None allows all rows.
        multiple: First rows and columns must be multiples of this (blocks of the low resolution);
            the bounds returned are in these units.

    Raises:
        InputError: The patch is larger than the field, or the range of latitudes holds none.
    """
    height, width = grid.shape
    if patch[0] > height or patch[1] > width:
        raise InputError(
            f"--patch {patch[0]},{patch[1]} is larger than the fields of {height} × {width} "
            "points: choose a smaller one."
        )
    first, last = 0, height - patch[0]
    if latitudes is not None and grid.has_coordinates:
        starts = np.arange(last + 1)
        # The centre lies half way between the two middle rows of a patch of even height.
        low, high = starts + (patch[0] - 1) // 2, starts + patch[0] // 2
        centre = (grid.latitudes[low] + grid.latitudes[high]) / 2
        allowed = np.flatnonzero((centre >= min(latitudes)) & (centre <= max(latitudes)))
        if not len(allowed):
            raise InputError(
                f"--latitudes {latitudes[0]:g},{latitudes[1]:g} holds no patch of {patch[0]} rows: "
                f"the centres of these lie between {centre.min():.1f}° and {centre.max():.1f}°."
            )
        first, last = int(allowed[0]), int(allowed[-1])
    first, last = -(-first // multiple), last // multiple
    wraps = grid.wraps and width % multiple == 0
    columns = width // multiple if wraps else (width - patch[1]) // multiple + 1
    if last < first:
        raise InputError(
            f"no patch of {patch[0]} rows fits on rows that are multiples of {multiple}: choose a "
            "smaller --patch or other --latitudes."
        )
    return Window((first, last), columns, wraps)


class Missing:
    """Where values are missing, to be asked by patch.

    Args:
        masks: By index of the field: (H, W) bool, True where any channel is missing.
        wraps: Whether patches run across the last column.
    """

    def __init__(self, masks: Mapping[int, np.ndarray], wraps: bool) -> None:
        self._sums = {}
        for time, mask in masks.items():
            if wraps:
                mask = np.concatenate([mask, mask], axis=1)
            total = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int32)
            np.cumsum(np.cumsum(mask, 0), 1, out=total[1:, 1:])
            self._sums[time] = total

    def touched(
        self, times: np.ndarray, rows: np.ndarray, columns: np.ndarray, patch: tuple[int, int]
    ) -> np.ndarray:
        """(n,) bool: whether each patch holds a missing value."""
        touched = np.zeros(len(times), bool)
        for time, total in self._sums.items():
            mine = np.flatnonzero(times == time)
            top, left = rows[mine], columns[mine]
            bottom, right = top + patch[0], left + patch[1]
            count = (
                total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
            )
            touched[mine] = count > 0
        return touched


@dataclasses.dataclass(frozen=True)
class PairPlan:
    """Pairs of patches: (n,) arrays.

    Attributes:
        start, end: Index of the two fields.
        label: Lag in steps, from 1.
        row, column: The patch's first row and column.
    """

    start: np.ndarray
    end: np.ndarray
    label: np.ndarray
    row: np.ndarray
    column: np.ndarray


@dataclasses.dataclass(frozen=True)
class PatchPlan:
    """Patches: (n,) arrays of the field's index, first row and first column."""

    time: np.ndarray
    row: np.ndarray
    column: np.ndarray


ATTEMPTS = 200
"""Draws before a field whose patches keep touching missing values is left with fewer."""


def plan_pairs(
    time: TimeAxis,
    chosen: np.ndarray,
    place: Window,
    *,
    patch: tuple[int, int],
    patches_per_field: int,
    classes: int,
    seed: int,
    missing: Missing | None = None,
    absent: np.ndarray | None = None,
) -> PairPlan:
    """Draws pairs: for each field and patch a lag, uniform over 1…classes, and a position.

    A pair is drawn only from fields whose partners exist for every lag, exactly lag × step later
    and within the range: so lags are uniform whatever the gaps. Where no field has all partners
    (a series broken by many gaps), lags are drawn from those that each field has.

    Args:
        time: The times of the source.
        chosen: Indices of the fields that may be used.
        place: Where patches may lie.
        patch: (H, W).
        patches_per_field: Pairs that begin at each field.
        classes: The largest lag.
        seed: The seed.
        missing: Where values are missing.
        absent: Indices of fields that are missing wholly.

    Raises:
        InputError: No pair can be drawn; the message says why.
    """
    if classes >= len(chosen):
        raise InputError(
            f"--classes {classes} needs more than {classes} time steps, but only {len(chosen)} "
            "fields are in range: choose fewer classes or more fields."
        )
    usable = np.zeros(len(time), bool)
    usable[chosen] = True
    if absent is not None:
        usable[absent] = False
    partners = np.stack([time.partner(lag) for lag in range(1, classes + 1)], axis=1)
    partners = np.where(usable[:, None] & usable[partners] & (partners >= 0), partners, -1)
    present = partners >= 0
    anchors = np.flatnonzero(present.all(1))
    if not len(anchors):
        anchors = np.flatnonzero(present.any(1))
    if not len(anchors):
        raise InputError(
            f"no two of the {int(usable.sum())} usable fields lie 1…{classes} steps "
            f"({time.step_text}) apart: gaps, repeated times or missing fields leave no pair."
        )
    random = np.random.default_rng([seed, 1])
    start = np.repeat(anchors, patches_per_field)
    lags = _draw_lags(random, present[start])
    end = partners[start, lags]
    row, column = _draw_positions(random, place, len(start))
    if missing is not None:
        for _ in range(ATTEMPTS):
            bad = missing.touched(start, row, column, patch)
            bad |= missing.touched(end, row, column, patch)
            if not bad.any():
                break
            again = np.flatnonzero(bad)
            row[again], column[again] = _draw_positions(random, place, len(again))
        else:
            bad = missing.touched(start, row, column, patch)
            bad |= missing.touched(end, row, column, patch)
            start, end, lags, row, column = (a[~bad] for a in (start, end, lags, row, column))
    if not len(start):
        raise InputError(
            f"every patch of {patch[0]} × {patch[1]} touches missing values in one of its fields: "
            "choose a smaller --patch, or --missing fill."
        )
    return PairPlan(start, end, lags + 1, row, column)


def plan_patches(
    chosen: np.ndarray,
    place: Window,
    *,
    patch: tuple[int, int],
    patches_per_field: int,
    seed: int,
    missing: Missing | None = None,
    absent: np.ndarray | None = None,
) -> PatchPlan:
    """Draws patches with uniform positions from each field; see :func:`plan_pairs`."""
    if absent is not None:
        chosen = np.setdiff1d(chosen, absent)
    if not len(chosen):
        raise InputError("every field in range is missing wholly: there is nothing to draw from.")
    random = np.random.default_rng([seed, 1])
    time = np.repeat(chosen, patches_per_field)
    row, column = _draw_positions(random, place, len(time))
    if missing is not None:
        for _ in range(ATTEMPTS):
            again = np.flatnonzero(missing.touched(time, row, column, patch))
            if not len(again):
                break
            row[again], column[again] = _draw_positions(random, place, len(again))
        else:
            good = ~missing.touched(time, row, column, patch)
            time, row, column = time[good], row[good], column[good]
    if not len(time):
        raise InputError(
            f"every patch of {patch[0]} × {patch[1]} touches missing values: choose a smaller "
            "--patch, or --missing fill."
        )
    return PatchPlan(time, row, column)


def _draw_lags(random: np.random.Generator, present: np.ndarray) -> np.ndarray:
    """(n,) lags from 0, uniform over those present in each row."""
    counts = present.sum(1)
    drawn = np.floor(random.random(len(present)) * counts).astype(np.int64)
    if present.all():
        return drawn
    return np.argmax(np.cumsum(present, 1) == drawn[:, None] + 1, axis=1)


def _draw_positions(
    random: np.random.Generator, place: Window, count: int
) -> tuple[np.ndarray, np.ndarray]:
    rows = random.integers(place.rows[0], place.rows[1] + 1, count)
    return rows, random.integers(0, place.columns, count)
