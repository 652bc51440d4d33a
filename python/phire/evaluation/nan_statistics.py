"""Mean, median, quantiles and maximum that ignore NaN, without warnings for slices of only NaN."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np


def _silent(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a NaN-function of numpy without its warnings of slices that hold NaN only."""

    def silent(values: np.ndarray, *arguments: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            # "All-NaN slice" and "Mean of empty slice": the NaN in the result says the same.
            warnings.simplefilter("ignore", RuntimeWarning)
            return function(values, *arguments, **options)

    return silent


mean_of_present = _silent(np.nanmean)
median_of_present = _silent(np.nanmedian)
quantile_of_present = _silent(np.nanquantile)
greatest_present = _silent(np.nanmax)
