"""Time axes of figures: dates, calendars, gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from phire.evaluation.figures.label_text import labelled

GAP = 3.0
"""A time step of more than this many times the median is a gap, over which no line is drawn."""


def time_axis(time: xr.DataArray) -> tuple[np.ndarray, str]:
    """Returns the values of a time coordinate on an axis, and the label of the axis.

    The label is empty for dates. Calendars with dates that do not exist, such as 30 February, are
    drawn as days since the first time.
    """
    values = time.values
    if np.issubdtype(values.dtype, np.datetime64):
        return values, ""
    if values.dtype == object and len(values) and hasattr(values[0], "calendar"):
        first = values[0]
        try:
            return np.array([pd.Timestamp(value.isoformat()) for value in values], "M8[ns]"), ""
        except ValueError:
            days = np.array([(value - first).total_seconds() / 86400 for value in values])
            return days, f"Days since {first.isoformat()[:10]} ({first.calendar})"
    return np.asarray(values, float), labelled("Time step", time.attrs.get("units", ""))


def label_time(axes: Axes, label: str) -> None:
    """Labels a time axis; for an empty label the ticks are short dates."""
    axes.set_xlabel(label)
    if label == "":
        locator = AutoDateLocator(minticks=3, maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def broken_at_gaps(times: np.ndarray, *series: np.ndarray) -> list[np.ndarray]:
    """Returns times and series with NaN inserted in each gap, so that lines break at gaps.

    Args:
        times: (n,) ascending values on the axis, numbers or dates.
        series: (n,) values of each series.
    """
    steps = np.diff(times).astype(float)
    gaps = np.flatnonzero(steps > GAP * np.median(steps)) + 1 if len(steps) > 1 else []
    return [np.insert(times, gaps, times[gaps]) if len(gaps) else times] + [
        np.insert(np.asarray(values, float), gaps, np.nan) for values in series
    ]
