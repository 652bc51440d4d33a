"""Bands in figures: range of each value over the members of an ensemble."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from phire.evaluation.figures.style import OF_MEMBERS, Style
from phire.evaluation.member_ranges import member_ends


def unchanged(values: np.ndarray) -> np.ndarray:
    """Returns its argument: the default of :func:`draw_member_band`."""
    return values


def member_edges(
    dataset: xr.Dataset, variable: str, select: Callable[[xr.DataArray], xr.DataArray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the minimum and maximum of a variable over the members; None without members.

    Args:
        dataset: Result of a statistic.
        variable: Name of the variable.
        select: Function that selects the part of an array that is drawn, such as a channel.
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
    """Shades the range of a variable over the members, if the result has one.

    Args:
        axes: The axes.
        places: (n,) positions on the horizontal axis.
        dataset: Result of a statistic.
        variable: Name of the variable.
        style: Style of the candidate.
        select: Function that selects the values (n,) of an array, such as those of a channel.
        change: Function applied to the values, the same as to the curve, such as a division by the
            truth.

    Returns:
        True if the result has the range.
    """
    edges = member_edges(dataset, variable, select)
    if edges is None:
        return False
    low, high = (change(edge) for edge in edges)
    axes.fill_between(
        places, low, high, color=style.colour, alpha=style.opacity, linewidth=0, zorder=1.5,
        label=OF_MEMBERS,
    )  # fmt: skip
    return True
