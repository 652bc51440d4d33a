"""Table of scores, with a row for each candidate and region, from the files of results."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from phire import files
from phire.evaluation.catalogue import statistics
from phire.evaluation.results import SUMMARY, result_path
from phire.fields.result_files import read_result


def summarise(
    output: str | os.PathLike, candidates: Mapping[str, object], regions: Mapping[str, object]
) -> pd.DataFrame:
    """Writes the table of scores, ``summary.csv``, from the results in a folder.

    Args:
        output: The results folder.
        candidates: Candidates by name, in the order of the rows.
        regions: Regions by name; rows of the whole domain come first.

    Returns:
        The table with the columns ``candidate``, ``region`` and one for each score; see
        :mod:`phire.evaluation.results`.
    """
    rows = []
    for candidate in candidates:
        for region in ("", *regions):
            row: dict[str, object] = {"candidate": candidate, "region": region}
            for metric, one in statistics().items():
                path = result_path(output, candidate, metric, region)
                if path.is_file():
                    dataset = read_result(path)
                    found = dict(_numbers(dataset, one.summary_of(dataset)))
                    # The range over members and the confidence interval have the same columns. The
                    # range is kept, because its statistics come first.
                    row |= {key: value for key, value in found.items() if key not in row}
            if len(row) > 2:
                rows.append(row)
    table = pd.DataFrame(rows, columns=["candidate", "region"] if not rows else None)
    if rows:
        table = table.dropna(axis="columns", how="all")
    files.write_text(Path(output) / SUMMARY, table.to_csv(index=False, float_format="%.8g"))
    return table


def _numbers(dataset: xr.Dataset, names: tuple) -> Iterator[tuple[str, float]]:
    """Yields column and value of each score, with the labels of its dimensions in the column."""
    for variable, name in names:
        if variable not in dataset:
            continue
        values = dataset[variable]
        for place in np.ndindex(*values.shape):
            labels = [str(values[d].values[i]) for d, i in zip(values.dims, place)]
            yield ":".join([name, *labels]), float(values.values[place])
