"""Sample of whole fields: the arrays that a trained generator reads, in physical units."""

from __future__ import annotations

import dataclasses

import numpy as np

from phire.fields.grid import Grid


@dataclasses.dataclass(frozen=True)
class WholeFields:
    """Arrays of n samples that each cover a whole field.

    With a window, ``low`` and ``auxiliary`` have an axis of T steps after the first.

    Attributes:
        low: (n, h + b + a, w + b + a, Cl) on ``coarse`` and the context around it; missing values
            are NaN.
        coarse: Grid of the coarse points that the output covers, h × w.
        fine: Grid of the output.
        times: (n,) times of the samples, as :class:`phire.fields.time.TimeAxis` holds them.
        context: Rows and columns of ``low`` before and after those of ``coarse``:
            ((top, bottom), (left, right)).
        static: (H, W, Cs) maps on ``fine``; None where the network reads none.
        auxiliary: (n, H, W, Ca) on ``fine``, likewise.
        time: (n, K) covariates, likewise.
        step: (n,) step of a window that is asked for; None without a window.
        position: Row and column of the first point of ``fine`` in the domain.
        calendar: CF calendar of ``times``; None where they count steps.
        window_times: (n, T) times of the steps of a window; None without one.
        outer: Grid of ``low``, its context included; None where it is ``coarse``.
    """

    low: np.ndarray
    coarse: Grid
    fine: Grid
    times: np.ndarray
    context: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    static: np.ndarray | None = None
    auxiliary: np.ndarray | None = None
    time: np.ndarray | None = None
    step: np.ndarray | None = None
    position: tuple[int, int] = (0, 0)
    calendar: str | None = None
    window_times: np.ndarray | None = None
    outer: Grid | None = None

    def inner(self, array: np.ndarray) -> np.ndarray:
        """Cuts an array (…, h + b + a, w + b + a, C) to the points of ``coarse``."""
        (top, _), (left, _) = self.context
        height, width = self.coarse.shape
        return array[..., top : top + height, left : left + width, :]

    def asked(self, array: np.ndarray) -> np.ndarray:
        """Takes the step that is asked for of an array (n, T, …); without a window all of it."""
        return array if self.step is None else array[np.arange(len(array)), self.step]
