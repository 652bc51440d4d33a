"""Paired differences between candidates, with confidence intervals by a block bootstrap."""

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
    """Writes ``differences.csv``: the difference of each pair of candidates in each score.

    A score is first converted to its distance from the best value (0 for a bias, 1 for a ratio), so
    that a negative difference means that the first candidate is better. Differences are paired:
    they are computed for each block of times, so that weather that makes both candidates better or
    worse cancels, and the blocks are then resampled. Two candidates count as equal if the 95 %
    interval of their difference contains 0.

    Args:
        output: Results folder with files of the statistic ``uncertainty``.
        candidates: Names of the candidates.
        regions: Names of the regions; the whole domain is always included.
        seed: Seed of the bootstrap.

    Returns:
        The table with the columns :data:`COLUMNS`; None if no two candidates have block values.
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
    """Yields each score's column, difference, interval (low, high), and True if this contains 0.

    Args:
        first, second: Results of the statistic ``uncertainty`` of two candidates.
        seed: Seed of the bootstrap.
    """
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
        # The distance of a score s from 1 is sign · (s − 1), so that two distances differ by
        # (sign₀ s₀ − sign₁ s₁) + (sign₁ − sign₀); the last term is the offset.
        offset = signs[1] - signs[0] if known.better == "one" else 0
        low, high = bootstrap_interval(gaps, seed)
        middle = signs[0] * estimates[0] - signs[1] * estimates[1]
        # Scores that are not means of their blocks (ratios, roots) differ from the blocks' mean:
        # the interval is centred on the difference of the scores.
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
    """Returns +1 where a smaller value would be better, −1 where a larger one would be."""
    if known.better == "higher":
        return np.full_like(value, -1.0)
    if known.better == "lower":
        return np.full_like(value, 1.0)
    return np.where(value >= (1 if known.better == "one" else 0), 1.0, -1.0)


def read_differences(output: str | os.PathLike) -> pd.DataFrame | None:
    """Reads ``differences.csv`` of a results folder; returns None if there is no such file."""
    path = Path(output) / DIFFERENCES
    return pd.read_csv(path, keep_default_na=False) if path.is_file() else None


def equal_to(table: pd.DataFrame | None, region: str, number: str, candidate: str) -> set[str]:
    """Returns the candidates whose difference from ``candidate`` in a score is not significant.

    Args:
        table: Table of :func:`read_differences`; with None no candidate is returned.
        region: Name of the region; empty for the whole domain.
        number: Column of the table of scores.
        candidate: Name of the candidate compared with all others.
    """
    if table is None:
        return set()
    rows = table[(table["region"] == region) & (table["number"] == number)]
    rows = rows[rows["equal"].astype(str) == "True"]
    first = rows.loc[rows["second"] == candidate, "first"]
    return {*first, *rows.loc[rows["first"] == candidate, "second"]}
