"""Random draw of samples: the fields and positions of patches, and the lags of pairs.

The whole plan is drawn before the first field is read, so that it depends only on the seed and the
options.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.time_axis import TimeAxis


@dataclasses.dataclass(frozen=True)
class Window:
    """Allowed first rows and columns of patches.

    Attributes:
        rows: Smallest and largest first row (inclusive).
        columns: Number of first columns, counted from ``first``.
        wraps: True if a patch may extend from the last column to the first.
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
    """Returns the allowed positions of patches of one size.

    Args:
        grid: The grid of the fields.
        patch: (H, W) of the patches.
        latitudes: (south, north) limits of the patch's centre, degrees; None allows all rows.
        wraps: True to let patches extend from the last column to the first; by default if the grid
            spans all longitudes.

    Raises:
        InputError: The patch is larger than the field, the latitudes are in the wrong order, or no
            patch fits between them.
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
        # The centre of a patch of even height lies half-way between its two middle rows.
        low, high = starts + (patch[0] - 1) // 2, starts + patch[0] // 2
        centre = (grid.latitudes[low] + grid.latitudes[high]) / 2
        allowed = np.flatnonzero((centre >= latitudes[0]) & (centre <= latitudes[1]))
        if not len(allowed):
            raise InputError(
                f"--latitudes {latitudes[0]:g},{latitudes[1]:g} holds no patch of {patch[0]} rows: "
                f"patch centres lie between {centre.min():.1f}° and {centre.max():.1f}°."
            )
        first, last = int(allowed[0]), int(allowed[-1])
    wraps = grid.wraps if wraps is None else wraps
    columns = width if wraps else width - patch[1] + 1
    return Window((first, last), columns, wraps)


@dataclasses.dataclass(frozen=True)
class PairPlan:
    """Pairs of patches that were drawn, as arrays (n,).

    Attributes:
        start, end: Indices of the two fields.
        label: Lag in steps, from 1.
        row, column: First row and column of the patch.
    """

    start: np.ndarray
    end: np.ndarray
    label: np.ndarray
    row: np.ndarray
    column: np.ndarray


@dataclasses.dataclass(frozen=True)
class PatchPlan:
    """Patches that were drawn, as arrays (n,).

    Attributes:
        time: Index of the field, or of the last field of a window.
        row, column: First row and column of the patch.
        steps: (n, T) indices of all fields of the window, ending with ``time``.
    """

    time: np.ndarray
    row: np.ndarray
    column: np.ndarray
    steps: np.ndarray


Blocked = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Function of field indices, first rows and first columns (in the units of :class:`Window`) that
returns the mask of patches with missing values."""

ATTEMPTS = 1000
"""Number of draws before a patch that always contains missing values is dropped."""


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
    """Draws pairs: first a lag, uniform over 1…classes, then two fields and a position.

    The number of pairs is ``patches_per_field`` times the number of fields that have a later
    partner. Lags are drawn first, so that gaps and the end of the series do not change their
    distribution. For each lag, all usable fields with a usable field exactly lag × step later are
    drawn equally often (to within one).

    Args:
        time: Times of the source.
        chosen: Indices of the fields that may be used.
        place: Allowed positions of patches.
        patches_per_field: Mean number of pairs per first field.
        classes: The largest lag, steps.
        seed: Seed of the draw.
        blocked: Returns the mask of patches with missing values, which are drawn again.
        absent: Indices of fields with all values missing.

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
            "every patch that was drawn contains missing values in one of its two fields: choose a "
            "smaller --patch, other --latitudes, or --missing fill."
        )
    return plan


def _draw_lags(
    random: np.random.Generator, starts: list[np.ndarray], lags: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the first field and the lag of each pair, sorted by first field and lag.

    Args:
        random: Generator of random numbers.
        starts: Possible first fields for each lag, counted from 0.
        lags: Lags that have any first field.
        count: Number of pairs to draw.

    Returns:
        First fields and lags, (count,) each.
    """
    lag = lags[random.integers(0, len(lags), count)]
    start = np.empty_like(lag)
    for value in lags:
        which = np.flatnonzero(lag == value)
        # Whole permutations in turn use all first fields equally often, to within one.
        rounds = range(-(-len(which) // len(starts[value])))
        dealt = [random.permutation(starts[value]) for _ in rounds]
        start[which] = np.concatenate(dealt)[: len(which)] if len(which) else ()
    # Sorting changes no sample, and lets consecutive pairs share the fields that are read.
    order = np.lexsort((lag, start))
    return start[order], lag[order]


def _redraw_blocked(
    random: np.random.Generator, plan: PairPlan, blocked: Blocked, starts: list[np.ndarray],
    partner: np.ndarray, place: Window,
) -> PairPlan:  # fmt: skip
    """Draws pairs with missing values again, up to :data:`ATTEMPTS` times, then drops them.

    Args:
        random: Generator of random numbers.
        plan: The pairs.
        blocked: Returns the mask of patches with missing values.
        starts: Possible first fields for each lag, counted from 0.
        partner: (fields, lags) index of the field one lag after each field.
        place: Allowed positions of patches.
    """
    start, end, row, column = (
        values.copy() for values in (plan.start, plan.end, plan.row, plan.column)
    )
    lag = plan.label - 1
    bad = np.arange(len(start))
    for attempt in range(ATTEMPTS):
        if attempt:
            # Drawn from all first fields of the lag, which keeps the allowed pairs equally likely.
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
    """Returns the lags among 1…classes that no two of the chosen fields have."""
    usable = np.zeros(len(time), bool)
    usable[chosen] = True
    starts = _partners(time, usable, classes)[1]
    return [lag for lag, which in enumerate(starts, 1) if not len(which)]


def _partners(
    time: TimeAxis, usable: np.ndarray, classes: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns the partner of each field, and the fields with a usable partner, for each lag."""
    partners = [time.partner(lag) for lag in range(1, classes + 1)]
    return partners, [np.flatnonzero(usable & (p >= 0) & usable[p]) for p in partners]


def windows(time: TimeAxis, usable: np.ndarray, length: int) -> np.ndarray:
    """Returns all windows of consecutive usable fields without a gap.

    Args:
        time: Times of the fields.
        usable: (n,) bool, True for fields that may be used.
        length: Number of fields in a window.

    Returns:
        (m, length) indices of fields.

    Raises:
        InputError: No series without a gap is that long; the message gives the longest one.
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
        complete = (after >= 0) & usable[after]
        steps = np.concatenate([steps, after[:, None]], axis=1)[complete]
    raise InputError(
        f"--window {length} is longer than any series of fields without a gap: the longest has "
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
        window: Number of consecutive fields in a sample.

    Raises:
        InputError: No patch can be drawn; the message says why.
    """
    if absent is not None:
        chosen = np.setdiff1d(chosen, absent)
    if not len(chosen):
        raise InputError(
            "all values of all fields in range are missing: choose another --time or other fields."
        )
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
            "every patch drawn has too many missing values: choose a smaller --patch, other "
            "--latitudes, --missing fill, or --missing mask with a smaller --least-valid."
        )
    return PatchPlan(steps[:, -1], row, column, steps)


def _draw_positions(
    random: np.random.Generator, place: Window, count: int
) -> tuple[np.ndarray, np.ndarray]:
    rows = random.integers(place.rows[0], place.rows[1] + 1, count)
    return rows, random.integers(place.first, place.first + place.columns, count)
