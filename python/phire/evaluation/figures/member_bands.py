"""Bands of an ensemble's members in figures: least and greatest of each value over them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from phire.evaluation.figures.style import Style
from phire.evaluation.member_ranges import member_ends

OPACITY = 0.18


def unchanged(values: np.ndarray) -> np.ndarray:
    """Returns the values."""
    return values


def member_edges(
    dataset: xr.Dataset, variable: str, select: Callable[[xr.DataArray], xr.DataArray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the least and greatest of a variable over the members; None without members.

    Args:
        dataset: Result of a statistic.
        variable: Name of the variable.
        select: Selects what is drawn (channel, region …) of an array.
    """
    ends = member_ends(variable)
    if any(end not in dataset for end in ends):
        return None
    low, high = (np.asarray(select(dataset[end]).values, float) for end in ends)
    return low, high


def draw_member_band(
    axes: Axes,
    places: np.ndarray,
    dataset: xr.Dataset,
    variable: str,
    style: Style,
    *,
    select: Callable[[xr.DataArray], xr.DataArray],
    change: Callable[[np.ndarray], np.ndarray] = unchanged,
) -> bool:
    """Shades the range of a variable over the members; draws nothing where it is not known.

    Args:
        axes: Where to draw.
        places: (n,) along the horizontal axis.
        dataset: Result of a statistic.
        variable: Name of the variable.
        style: Of the candidate.
        select: Selects what is drawn (channel, region …) of an array: (n,).
        change: Changes values as those of the curve are, such as divided by the truth's.

    Returns:
        True if there was a range.
    """
    edges = member_edges(dataset, variable, select)
    if edges is None:
        return False
    low, high = (change(edge) for edge in edges)
    axes.fill_between(places, low, high, color=style.colour, alpha=OPACITY, linewidth=0, zorder=1.5)
    return True
