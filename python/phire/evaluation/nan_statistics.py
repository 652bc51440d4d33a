"""Mean, median and quantiles of the values that are there, silent where there are none."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np


def _silent(function: Callable[..., Any]) -> Callable[..., Any]:
    def taken(values: np.ndarray, *arguments: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            # numpy warns of "All-NaN slice" and "Mean of empty slice"; NaN says the same.
            warnings.simplefilter("ignore", RuntimeWarning)
            return function(values, *arguments, **options)

    return taken


mean_of_present = _silent(np.nanmean)
median_of_present = _silent(np.nanmedian)
quantile_of_present = _silent(np.nanquantile)
greatest_present = _silent(np.nanmax)
