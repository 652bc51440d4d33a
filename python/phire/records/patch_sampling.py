"""Drawing samples: which patches, where, and for pairs how far apart in time.

The whole plan is drawn from the seed before the first field is read, so that it depends on nothing
else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.time import TimeAxis


@dataclasses.dataclass(frozen=True)
class Window:
    """The rows and columns at which a patch may begin.

    Attributes:
        rows: First and last first row (inclusive).
        columns: Number of first columns, from ``first``.
        wraps: True where a patch may run across the last column.
    """

    rows: tuple[int, int]
    columns: int
    wraps: bool
    first: int = 0


def window(
    grid: Grid,
    patch: tuple[int, int],
    latitudes: tuple[float, float] | None,
    *,
    wraps: bool | None = None,
) -> Window:
    """Returns the allowed positions of patches of a size.

    Args:
        grid: The grid of the fields.
        patch: (H, W).
        latitudes: (south, north) between which the patch's centre lies; None allows all rows.
        wraps: True to let patches run across the last column; by default where the grid closes
            the circle.

    Raises:
        InputError: The patch is larger than the field, or the latitudes are in the wrong order or
            hold no patch.
    """
    if latitudes is not None and latitudes[0] > latitudes[1]:
        raise InputError(
            f"--latitudes {latitudes[0]:g},{latitudes[1]:g} must be SOUTH,NORTH: "
            f"{latitudes[1]:g},{latitudes[0]:g}."
        )
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
        allowed = np.flatnonzero((centre >= latitudes[0]) & (centre <= latitudes[1]))
        if not len(allowed):
            raise InputError(
                f"--latitudes {latitudes[0]:g},{latitudes[1]:g} holds no patch of {patch[0]} rows: "
                f"the centres of these lie between {centre.min():.1f}° and {centre.max():.1f}°."
            )
        first, last = int(allowed[0]), int(allowed[-1])
    wraps = grid.wraps if wraps is None else wraps
    columns = width if wraps else width - patch[1] + 1
    return Window((first, last), columns, wraps)


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
    """Patches: (n,) arrays of the field's index, first row and first column.

    Attributes:
        time: Index of the field; of a window, of its last.
        row, column: The patch's first row and column.
        steps: (n, T) indices of all fields of the window, the last of which is ``time``.
    """

    time: np.ndarray
    row: np.ndarray
    column: np.ndarray
    steps: np.ndarray


Blocked = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Mask of patches that touch missing values, by the indices of their fields and their first rows
and columns (in the units of the :class:`Window`)."""

ATTEMPTS = 1000
"""Draws before a patch that keeps touching missing values is given up."""


def plan_pairs(
    time: TimeAxis,
    chosen: np.ndarray,
    place: Window,
    *,
    patches_per_field: int,
    classes: int,
    seed: int,
    blocked: Blocked | None = None,
    absent: np.ndarray | None = None,
) -> PairPlan:
    """Draws pairs: a lag, uniform over 1…classes, then a pair of fields of this lag, and a place.

    As many pairs are drawn as there are fields that a pair can begin at, times
    ``patches_per_field``. Lags are drawn first, so that gaps and the end of the series do not
    change their distribution. For each lag, the usable fields with a usable field exactly lag ×
    step later are drawn equally often (to within one).

    Args:
        time: The times of the source.
        chosen: Indices of the fields that may be used.
        place: Where patches may lie.
        patches_per_field: Pairs a field, on average.
        classes: The largest lag.
        seed: The seed.
        blocked: Mask of patches that touch missing values; these are drawn again.
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
    partners, starts = _partners(time, usable, classes)
    lags = np.array([lag for lag in range(classes) if len(starts[lag])], dtype=np.int64)
    if not len(lags):
        raise InputError(
            f"no two of the {int(usable.sum())} usable fields lie 1…{classes} steps "
            f"({time.step_text}) apart: gaps, repeated times or missing fields leave no pair."
        )
    random = np.random.default_rng([seed, 1])
    anchors = len(np.unique(np.concatenate(starts)))
    start, lag = _draw_lags(random, starts, lags, anchors * patches_per_field)
    partner = np.stack(partners, axis=1)
    row, column = _draw_positions(random, place, len(start))
    plan = PairPlan(start, partner[start, lag], lag + 1, row, column)
    if blocked is not None:
        plan = _redraw_blocked(random, plan, blocked, starts, partner, place)
    if not len(plan.start):
        raise InputError(
            "every patch that was tried touches missing values in one of its two fields: choose a "
            "smaller --patch, other --latitudes, or --missing fill."
        )
    return plan


def _draw_lags(
    random: np.random.Generator, starts: list[np.ndarray], lags: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the lag and the first field of each pair, in the order of the first field.

    Args:
        random: The generator.
        starts: Fields that a pair can begin at, by lag from 0.
        lags: Those for which there are any.
        count: Pairs to draw.

    Returns:
        First field and lag, (count,) each.
    """
    lag = lags[random.integers(0, len(lags), count)]
    start = np.empty_like(lag)
    for value in lags:
        which = np.flatnonzero(lag == value)
        rounds = range(-(-len(which) // len(starts[value])))
        dealt = [random.permutation(starts[value]) for _ in rounds]
        start[which] = np.concatenate(dealt)[: len(which)] if len(which) else ()
    # The order changes no sample, but neighbours in time share the fields that are read.
    order = np.lexsort((lag, start))
    return start[order], lag[order]


def _redraw_blocked(
    random: np.random.Generator, plan: PairPlan, blocked: Blocked, starts: list[np.ndarray],
    partner: np.ndarray, place: Window,
) -> PairPlan:  # fmt: skip
    """Draws pairs that touch missing values again, and drops those of :data:`ATTEMPTS` failures.

    Args:
        random: The generator.
        plan: The pairs.
        blocked: Tells which patches touch missing values.
        starts: Fields that a pair can begin at, by lag from 0.
        partner: (fields, lags) index of the field that lies a lag after each.
        place: Where patches may lie.
    """
    start, end, row, column = (
        values.copy() for values in (plan.start, plan.end, plan.row, plan.column)
    )
    lag = plan.label - 1
    bad = np.arange(len(start))
    for attempt in range(ATTEMPTS):
        if attempt:
            # From all pairs of fields of this lag, so that the draw stays uniform over the allowed.
            for value in np.unique(lag[bad]):
                which = bad[lag[bad] == value]
                start[which] = random.choice(starts[value], len(which))
            end[bad] = partner[start[bad], lag[bad]]
            row[bad], column[bad] = _draw_positions(random, place, len(bad))
        touched = blocked(start[bad], row[bad], column[bad])
        touched |= blocked(end[bad], row[bad], column[bad])
        bad = bad[touched]
        if not len(bad):
            break
    return PairPlan(*(np.delete(v, bad) for v in (start, end, plan.label, row, column)))


def empty_classes(time: TimeAxis, chosen: np.ndarray, classes: int) -> list[int]:
    """Returns the lags among 1…classes at which no two of the chosen fields lie."""
    usable = np.zeros(len(time), bool)
    usable[chosen] = True
    starts = _partners(time, usable, classes)[1]
    return [lag for lag, which in enumerate(starts, 1) if not len(which)]


def _partners(
    time: TimeAxis, usable: np.ndarray, classes: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns each field's second field of a pair by lag, and the fields that have a usable one."""
    partners = [time.partner(lag) for lag in range(1, classes + 1)]
    return partners, [np.flatnonzero(usable & (p >= 0) & usable[p]) for p in partners]


def windows(time: TimeAxis, usable: np.ndarray, length: int) -> np.ndarray:
    """Returns the windows of fields, one step after another without a gap.

    Args:
        time: The times.
        usable: (n,) bool, the fields that may be used.
        length: Fields of a window.

    Returns:
        (m, length) indices.

    Raises:
        InputError: No stretch without a gap is that long; the message states the longest.
    """
    if length == 1:
        return np.flatnonzero(usable)[:, None]
    following = time.partner(1)
    steps = np.flatnonzero(usable)[:, None]
    longest = 0
    while len(steps):
        longest = steps.shape[1]
        if longest == length:
            return steps
        after = following[steps[:, -1]]
        kept = (after >= 0) & usable[after]
        steps = np.concatenate([steps, after[:, None]], axis=1)[kept]
    raise InputError(
        f"--window {length} is longer than any stretch of fields without a gap: the longest has "
        f"{longest} fields, {time.step_text} apart; choose a shorter window."
    )


def plan_patches(
    time: TimeAxis,
    chosen: np.ndarray,
    place: Window,
    *,
    patches_per_field: int,
    seed: int,
    window: int = 1,
    blocked: Blocked | None = None,
    absent: np.ndarray | None = None,
) -> PatchPlan:
    """Draws patches with uniform positions from each field or window of fields.

    Args:
        time: The times of the source.
        chosen, place, patches_per_field, seed, blocked, absent: See :func:`plan_pairs`.
        window: Fields of a sample, one step after another.

    Raises:
        InputError: No patch can be drawn; the message says why.
    """
    if absent is not None:
        chosen = np.setdiff1d(chosen, absent)
    if not len(chosen):
        raise InputError("every field in range is missing wholly: there is nothing to draw from.")
    usable = np.zeros(len(time), bool)
    usable[chosen] = True
    random = np.random.default_rng([seed, 1])
    steps = np.repeat(windows(time, usable, window), patches_per_field, axis=0)
    row, column = _draw_positions(random, place, len(steps))
    if blocked is not None:
        bad = np.arange(len(steps))
        for attempt in range(ATTEMPTS):
            if attempt:
                row[bad], column[bad] = _draw_positions(random, place, len(bad))
            touched = np.zeros(len(bad), bool)
            for i in range(window):
                touched |= blocked(steps[bad, i], row[bad], column[bad])
            bad = bad[touched]
            if not len(bad):
                break
        steps, row, column = (np.delete(values, bad, axis=0) for values in (steps, row, column))
    if not len(steps):
        raise InputError(
            "of every patch that was tried too much is missing: choose a smaller --patch, other "
            "--latitudes, --missing fill, or --missing mask with a smaller --least-valid."
        )
    return PatchPlan(steps[:, -1], row, column, steps)


def _draw_positions(
    random: np.random.Generator, place: Window, count: int
) -> tuple[np.ndarray, np.ndarray]:
    rows = random.integers(place.rows[0], place.rows[1] + 1, count)
    return rows, random.integers(place.first, place.first + place.columns, count)
