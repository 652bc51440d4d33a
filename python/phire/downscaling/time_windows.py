"""Windows of time steps, one for each field that is predicted."""

from __future__ import annotations

import numpy as np

from phire.errors import InputError
from phire.fields.time import TimeAxis


def windows(
    time: TimeAxis,
    chosen: np.ndarray,
    window: int | None,
    step: int | None,
    *,
    from_first: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first field of each field's window, and the field's step in it.

    A window ends at its field, so that a recurrent network has seen all of its steps; the first
    fields of a stretch without gaps lie in the stretch's first window. With ``from_first`` it
    begins at its field, as DL4DS folds windows to a series; the last fields lie in the last window.

    Args:
        time: The times.
        chosen: (n,) indices of fields.
        window: Steps of a window; None for single fields.
        step: Time between steps.
        from_first: Windows begin at their fields.

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
    if from_first:
        start = np.minimum(chosen, last - window)
    else:
        start = np.maximum(chosen - window + 1, first)
    return start, chosen - start
