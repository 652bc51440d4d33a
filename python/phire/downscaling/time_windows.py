"""Windows of time steps, one for each field that is predicted."""

from __future__ import annotations

import numpy as np

from phire.errors import InputError
from phire.fields.time import TimeAxis


def windows(
    time: TimeAxis, chosen: np.ndarray, window: int | None, step: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first field of each field's window, and the field's step in it.

    A window ends at its field, as those of training do; the first fields of a stretch without gaps
    lie in the stretch's first window.

    Args:
        time: The times.
        chosen: (n,) indices of fields.
        window: Steps of a window; None for single fields.
        step: Time between steps.

    Raises:
        InputError: A stretch without gaps is shorter than the window.
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
            f"the stretch without a gap around {time.format(at)} has "
            f"{int((last - first)[short[0]])} fields, but the run reads windows of {window}: give "
            "longer ones."
        )
    start = np.maximum(chosen - window + 1, first)
    return start, chosen - start
