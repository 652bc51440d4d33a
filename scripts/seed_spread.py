"""Numbers of several seeds as a study's table has them: their mean ± half their range."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np


def mean_and_half_range(values: np.ndarray) -> str:
    """Returns the mean over the seeds ± half the range, which is left out where it is 0.

    Two decimals from 10 on, three below.
    """
    half = (values.max() - values.min()) / 2
    digits = 2 if abs(values.mean()) >= 10 else 3
    text = f"{values.mean():.{digits}f}"
    return f"{text} ± {half:.{digits}f}" if half >= 0.5 * 10**-digits else text


def by_candidate(rows: Iterable[tuple[str, list[float]]]) -> dict[str, np.ndarray]:
    """Joins the seeds of each candidate: name → (seeds, numbers).

    Args:
        rows: Names as a pipeline's sweep gives them ("flow, seed 2" is of the candidate "flow"),
            and numbers, of which all rows have as many.
    """
    found: dict[str, list[list[float]]] = {}
    for name, numbers in rows:
        found.setdefault(re.sub(r",? ?seed[ -]?\d+$", "", name), []).append(numbers)
    return {name: np.array(rows) for name, rows in found.items()}
