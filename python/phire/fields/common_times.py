"""Times that two or more sources share, and the message where they share none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from phire.errors import InputError
from phire.fields.time_axis import TimeAxis


def find_common_times(
    wanted: TimeAxis, available: TimeAxis, *, names: tuple[str, str]
) -> np.ndarray:
    """Returns the index in ``available`` of each time of ``wanted``; −1 where it is missing.

    Args:
        wanted, available: The time axes.
        names: Names of their sources in messages.

    Raises:
        InputError: The time axes have no time in common.
    """
    found = available.find(wanted)
    if (found < 0).all():
        raise InputError(no_common_times(dict(zip(names, (wanted, available)))))
    return found


def no_common_times(axes: Mapping[str, TimeAxis]) -> str:
    """Returns the message that time axes have no time in common, with the period of each.

    Args:
        axes: Time axes by the names of their sources.
    """
    periods = "; ".join(
        f"{name} from {axis.format(0)} to {axis.format(-1)}"
        + (f" every {axis.step_text}" if len(axis) > 1 else "")
        for name, axis in axes.items()
    )
    text = f"{' and '.join(axes)} have no time in common ({periods}): "
    (_, first), *others = axes.items()
    for name, axis in others:
        if not first.shares_calendar(axis):
            return (
                f"{text}{next(iter(axes))} counts in the calendar {first.calendar}, {name} in "
                f"{axis.calendar}; convert one to the other's calendar, such as by xarray's "
                "convert_calendar."
            )
    return f"{text}choose files of the same period and step."
