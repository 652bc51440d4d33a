"""Whole fields in physical units, as input of a trained generator."""

from __future__ import annotations

import dataclasses

import numpy as np

from phire.fields.grid import Grid


@dataclasses.dataclass(frozen=True)
class WholeFields:
    """Arrays of n samples, each of which covers a whole field, in physical units.

    With a time window, ``low`` and ``auxiliary`` have a second axis of T steps.

    Attributes:
        low: Coarse fields, (n, top + h + bottom, left + w + right, Cl): the points of ``coarse``
            and the points around them. Missing values are NaN.
        coarse: Grid of the h × w coarse points that the output covers.
        fine: Grid of the output, H × W.
        times: Times of the samples, (n,), as in :class:`phire.fields.time_axis.TimeAxis`.
        around: Rows and columns of ``low`` around ``coarse``: ((top, bottom), (left, right)).
        static: Maps on ``fine``, (H, W, Cs); None if the network reads none.
        auxiliary: Predictors on ``fine``, (n, H, W, Ca); None if the network reads none.
        time: Covariates, (n, K); None if the network reads none.
        step: Step of the window to predict, (n,); None without a window.
        position: Row and column of the first point of ``fine`` in the training domain.
        calendar: CF calendar of ``times``; None if they count steps.
        window_times: Times of all steps of the windows, (n, T); None without a window.
        outer: Grid of all points of ``low``; None if they are those of ``coarse``.
    """

    low: np.ndarray
    coarse: Grid
    fine: Grid
    times: np.ndarray
    around: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    static: np.ndarray | None = None
    auxiliary: np.ndarray | None = None
    time: np.ndarray | None = None
    step: np.ndarray | None = None
    position: tuple[int, int] = (0, 0)
    calendar: str | None = None
    window_times: np.ndarray | None = None
    outer: Grid | None = None

    def inner(self, array: np.ndarray) -> np.ndarray:
        """Cuts the points around ``coarse`` off an array with the rows and columns of ``low``."""
        (top, _), (left, _) = self.around
        height, width = self.coarse.shape
        return array[..., top : top + height, left : left + width, :]

    def asked(self, array: np.ndarray) -> np.ndarray:
        """Selects the step to predict from an array (n, T, …); without a window, returns it."""
        return array if self.step is None else array[np.arange(len(array)), self.step]
