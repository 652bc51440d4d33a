"""Interpolated coarse fields as a source: the baseline of a downscaling model."""

from __future__ import annotations

import numpy as np

from phire.downscaling.missing_input import Filler, mark_missing
from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.interpolation import METHODS, upsample
from phire.fields.source import Source, Times


class InterpolatedSource:
    """Source of coarse fields interpolated to a finer grid.

    Args:
        coarse: Source of coarse fields.
        fine_grid: Grid to interpolate to.
        method: ``nearest``, ``bilinear`` or ``bicubic``.
        alignment: Position of a coarse point in its block of fine points if the grids have no
            coordinates: ``cell`` (centre) or ``corner`` (first point).

    Raises:
        InputError: ``method`` is unknown.
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
        """Reads interpolated fields, (n, H, W, C).

        Missing coarse values are filled and marked as for a network, so that predictions and this
        baseline have values at the same points.
        """
        filled, missing = Filler("nearest")(self.coarse.read(times), self.coarse.grid)
        fine = upsample(
            filled, self.coarse.grid, self.grid, method=self.method, alignment=self.alignment
        )
        return mark_missing(fine, missing)
