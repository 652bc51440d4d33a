"""Interpolation as a source: the baseline that every generator has to beat."""

from __future__ import annotations

import numpy as np

from phire.downscaling.missing_input import Filler, mark_missing
from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.interpolation import METHODS, upsample
from phire.fields.source import Source, Times


class InterpolatedSource:
    """A coarse source interpolated to a finer grid.

    Args:
        coarse: The coarse source.
        fine_grid: The grid to interpolate to.
        method: ``nearest``, ``bilinear`` or ``bicubic``.
        alignment: Where there are no coordinates: ``cell`` or ``corner``.

    Raises:
        InputError: The method is unknown.
    """

    def __init__(
        self, coarse: Source, fine_grid: Grid, method: str = "bicubic", alignment: str = "cell"
    ) -> None:
        if method not in METHODS:
            raise InputError(f"interpolation {method!r} must be one of {', '.join(METHODS)}.")
        self.coarse = coarse
        self.method = method
        self.alignment = alignment
        self.channels, self.units = coarse.channels, coarse.units
        self.time = coarse.time
        self.grid = fine_grid

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`.

        Missing coarse values are filled as for a network, so that both have values at the same
        points.
        """
        filled, missing = Filler("nearest")(self.coarse.read(times), self.coarse.grid)
        fine = upsample(
            filled, self.coarse.grid, self.grid, method=self.method, alignment=self.alignment
        )
        return mark_missing(fine, missing)
