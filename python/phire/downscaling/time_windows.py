"""Selection of the time window from which each field is predicted."""

from __future__ import annotations

import numpy as np

from phire.errors import InputError
from phire.fields.time_axis import TimeAxis


def windows(
    time: TimeAxis,
    chosen: np.ndarray,
    window: int | None,
    step: int | None,
    *,
    from_first: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the window of each field: its first index and the field's step within it.

    By default a window ends at its field, so a recurrent network sees all steps before it. With
    ``from_first`` it begins at its field, as in DL4DS. Windows do not cross gaps in time; fields
    too close to a gap use the nearest window that does not cross it.

    Args:
        time: Times of all fields.
        chosen: Indices of the fields to predict, (n,).
        window: Number of steps of a window; None for single fields.
        step: Time between steps, in the units of ``time.values``.
        from_first: Begin windows at their fields.

    Returns:
        Index of the first field of each window, and step of the chosen field in it, both (n,).

    Raises:
        InputError: A period without gaps is shorter than the window.
    """
    if window is None or window == 1:
        return chosen, np.zeros(len(chosen), int)
    gaps = np.flatnonzero(np.diff(time.values) != step) + 1
    bounds = np.concatenate([[0], gaps, [len(time)]])
    stretch = np.searchsorted(bounds, chosen, side="right") - 1
    first, last = bounds[stretch], bounds[stretch + 1]
    short = np.flatnonzero(last - first < window)
    if len(short):
        at = int(chosen[short[0]])
        raise InputError(
            f"the period without gaps around {time.format(at)} has "
            f"{int((last - first)[short[0]])} fields, but the run reads windows of {window}: give "
            "a longer period."
        )
    if from_first:
        start = np.minimum(chosen, last - window)
    else:
        start = np.maximum(chosen - window + 1, first)
    return start, chosen - start
