"""Time axes of figures: dates, calendars, gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from phire.evaluation.figures.style import labelled

GAP = 3.0
"""A step so many times the median is a gap, over which no line is drawn."""


def time_axis(time: xr.DataArray) -> tuple[np.ndarray, str]:
    """Values to draw a time coordinate at, and a label; the label is empty for calendar dates.

    Dates of calendars that no clock follows (360 days) are drawn as days since the first.
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
    """Labels the time axis; short dates where the label is empty."""
    axes.set_xlabel(label)
    if label == "":
        locator = AutoDateLocator(minticks=3, maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def broken_at_gaps(times: np.ndarray, *series: np.ndarray) -> list[np.ndarray]:
    """Returns times and series with a missing value in each gap, so that lines break there.

    Args:
        times: (n,) ascending places on the axis, numbers or dates.
        series: (n,) values.
    """
    steps = np.diff(times).astype(float)
    gaps = np.flatnonzero(steps > GAP * np.median(steps)) + 1 if len(steps) > 1 else []
    return [np.insert(times, gaps, times[gaps]) if len(gaps) else times] + [
        np.insert(np.asarray(values, float), gaps, np.nan) for values in series
    ]
