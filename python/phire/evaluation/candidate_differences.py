"""Paired differences between candidates, with intervals by a block bootstrap."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from phire import files
from phire.evaluation.catalogue import definition
from phire.evaluation.definitions import Definition
from phire.evaluation.results import result_path
from phire.evaluation.sampling_uncertainty import SamplingUncertainty, bootstrap_interval
from phire.fields.result_files import read_result

DIFFERENCES = "differences.csv"

COLUMNS = ("region", "number", "first", "second", "difference", "low", "high", "equal")


def compare_candidates(
    output: str | os.PathLike, candidates: Iterable[str], regions: Iterable[str], seed: int = 0
) -> pd.DataFrame | None:
    """Writes ``differences.csv``: each two candidates' difference in each number of the table.

    The difference is of how far each is from the best possible value (0 for a bias, 1 for a ratio),
    block by block of times, so that what is hard for both cancels. It is equal where the interval
    of 95 % holds 0.

    Args:
        output: Folder of results, with files of the statistic ``uncertainty``.
        candidates: Their names.
        regions: Names of regions, besides the whole domain.
        seed: Of the bootstrap.

    Returns:
        The table; None where no two candidates have intervals.
    """
    rows = []
    for region in ("", *regions):
        found = {
            name: read_result(path)
            for name in candidates
            if (path := result_path(output, name, SamplingUncertainty.name, region)).is_file()
        }
        for first, second in itertools.combinations(found, 2):
            for row in differences_of(found[first], found[second], seed):
                rows.append((region, row[0], first, second, *row[1:]))
    if not rows:
        return None
    table = pd.DataFrame(rows, columns=COLUMNS)
    files.write_text(Path(output) / DIFFERENCES, table.to_csv(index=False, float_format="%.8g"))
    return table


def differences_of(
    first: xr.Dataset, second: xr.Dataset, seed: int
) -> Iterator[tuple[str, float, float, float, bool]]:
    """Column of the table, difference, ends of its interval, and if it holds 0."""
    for variable in map(str, first.data_vars):
        base, separator, rest = variable.partition(":")
        if not base.endswith("_blocks") or variable not in second:
            continue
        number = f"{base.removesuffix('_blocks')}{separator}{rest}"
        known = definition(number.split(":")[0])
        pair = [one[variable].values for one in (first, second)]
        if not known.better or number not in first or pair[0].shape != pair[1].shape:
            continue
        estimates = [one[number].values for one in (first, second)]
        signs = [_direction(value, known) for value in estimates]
        gaps = signs[0] * pair[0] - signs[1] * pair[1]
        offset = signs[1] - signs[0] if known.better == "one" else 0
        low, high = bootstrap_interval(gaps, seed)
        middle = signs[0] * estimates[0] - signs[1] * estimates[1]
        shift = middle - gaps.mean(0)
        low, high, middle = low + shift + offset, high + shift + offset, middle + offset
        dimensions = first[number].dims
        for place in np.ndindex(*middle.shape):
            labels = [str(first[d].values[i]) for d, i in zip(dimensions, place)]
            ends = float(low[place]), float(high[place])
            if np.isfinite(ends).all():
                holds = bool(ends[0] <= 0 <= ends[1])
                yield ":".join([number, *labels]), float(middle[place]), *ends, holds


def _direction(value: np.ndarray, known: Definition) -> np.ndarray:
    """Returns +1 if smaller numbers are better, −1 if larger ones are."""
    if known.better == "higher":
        return np.full_like(value, -1.0)
    if known.better == "lower":
        return np.full_like(value, 1.0)
    return np.where(value >= (1 if known.better == "one" else 0), 1.0, -1.0)


def read_differences(output: str | os.PathLike) -> pd.DataFrame | None:
    """Reads the table of differences from a results folder; None if there is no such file."""
    path = Path(output) / DIFFERENCES
    return pd.read_csv(path, keep_default_na=False) if path.is_file() else None


def equal_to(table: pd.DataFrame | None, region: str, number: str, candidate: str) -> set[str]:
    """Returns the candidates that cannot be told from one in a number of the table."""
    if table is None:
        return set()
    here = table[(table["region"] == region) & (table["number"] == number)]
    here = here[here["equal"].astype(str) == "True"]
    first = here.loc[here["second"] == candidate, "first"]
    return {*first, *here.loc[here["first"] == candidate, "second"]}
