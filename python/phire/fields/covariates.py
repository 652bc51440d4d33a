"""Covariates of time: sine and cosine of the hour of the day and of the day of the year."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cftime
import numpy as np

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.time_axis import EPOCH, TimeAxis

COVARIATES = ("hour", "day")
DAY = 86400


def covariate_channels(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the channel names of covariates: the sine and the cosine of each."""
    return tuple(f"{name}_{part}" for name in names for part in ("sine", "cosine"))


def check_covariates(names: Sequence[str], time: TimeAxis) -> None:
    """Checks the names of covariates, and that the times have dates.

    Args:
        names: Names of covariates, from :data:`COVARIATES`.
        time: Times of the fields.

    Raises:
        InputError: A covariate is unknown or named twice, or the times have no dates.
    """
    for name in names:
        if name not in COVARIATES:
            raise InputError(
                f"--covariates {name} is unknown: choose among {', '.join(COVARIATES)}."
            )
    if len(set(names)) < len(names):
        raise InputError(f"--covariates {','.join(names)} names one twice: name each once.")
    if names and not time.has_calendar:
        raise InputError(
            f"--covariates {','.join(names)} needs dates, but the fields only count steps: "
            "convert them from a file that has times, or leave the covariates out."
        )


def covariates(
    values: np.ndarray,
    calendar: str,
    names: Sequence[str],
    longitudes: np.ndarray | None = None,
) -> np.ndarray:
    """Computes sine and cosine of the phase of the day and of the year.

    The phase of the day is the fraction of the day that has passed in local mean solar time (UTC
    plus 1 h for 15° east), or in UTC if the longitude is unknown. The phase of the year: see
    :func:`year_phase`.

    Args:
        values: (n,) int64 seconds since 1970-01-01 in the calendar.
        calendar: A CF calendar.
        names: Covariates, from :data:`COVARIATES`.
        longitudes: (n,) degrees east, NaN where unknown; None if all are unknown.

    Returns:
        (n, 2 · names) float32, in the order of :func:`covariate_channels`.
    """
    values = np.asarray(values, np.int64)
    phases = []
    for name in names:
        if name == "hour":
            phase = values % DAY / DAY
            if longitudes is not None:
                phase = phase + np.nan_to_num(longitudes) / 360
        else:
            phase = year_phase(values, calendar)
        phases += [np.sin(2 * np.pi * phase), np.cos(2 * np.pi * phase)]
    return np.stack(phases, axis=-1).astype(np.float32)


def year_phase(values: np.ndarray, calendar: str) -> np.ndarray:
    """Returns the fraction of the year that has passed, 0 to 1.

    Each year has its own length: a leap year of the standard calendar has 366 days.

    Args:
        values: (n,) int64 seconds since 1970-01-01 in the calendar.
        calendar: A CF calendar.
    """
    bounds = _years(int(values.min()), int(values.max()), calendar)
    year = np.searchsorted(bounds, values, side="right") - 1
    return (values - bounds[year]) / (bounds[year + 1] - bounds[year])


@functools.lru_cache(maxsize=64)
def _years(first: int, last: int, calendar: str) -> np.ndarray:
    """Returns the starts (s) of all years between two times, and of the year after.

    Args:
        first, last: Seconds since 1970-01-01.
        calendar: A CF calendar.
    """
    units = f"seconds since {EPOCH}"
    years = [d.year for d in cftime.num2date([first, last], units, calendar=calendar)]
    starts = [cftime.datetime(y, 1, 1, calendar=calendar) for y in _around(*years, calendar)]
    return np.rint(cftime.date2num(starts, units, calendar=calendar)).astype(np.int64)


def _around(first: int, last: int, calendar: str) -> list[int]:
    """Returns the numbers of the years from ``first`` to the one after ``last``."""
    # In some calendars, such as the standard one, the year 1 follows the year −1.
    has_zero = cftime.datetime(1, 1, 1, calendar=calendar).has_year_zero
    return [year for year in range(first, last + 2) if year or has_zero]


def patch_longitudes(grid: Grid, columns: np.ndarray, width: int) -> np.ndarray:
    """Returns the longitudes of the centres of patches: (n,) degrees east.

    Args:
        grid: The fine grid. On a grid that closes the circle, a patch may extend across the last
            column.
        columns: (n,) first column of each patch.
        width: Number of columns of a patch.
    """
    spacing = grid.spacing[1] if grid.shape[1] > 1 else 0.0
    return grid.longitudes[np.asarray(columns)] + spacing * (width - 1) / 2
