#!/usr/bin/env python
"""Prints scores over several seeds as mean ± half the range.

    python scripts/seed_spread.py RESULTS/summary.csv rmse:pr crps_fair:pr

prints columns of an evaluation's summary as a Markdown table with one row per candidate.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from pathlib import Path

import click
import numpy as np


def mean_and_half_range(values: np.ndarray) -> str:
    """Formats the mean over the seeds ± half the range, without the range if it is 0.

    Values from 10 on have two decimals, smaller ones three, and those below 0.01 three digits.
    """
    mean, half = values.mean(), (values.max() - values.min()) / 2
    if not np.isfinite(mean):
        return "–"
    digits = 2 if abs(mean) >= 10 else 3
    power = 0
    if 0 < abs(mean) < 0.01:
        power, digits = math.floor(math.log10(abs(mean))), 2
        mean, half = mean / 10.0**power, half / 10.0**power
    text = f"{mean:.{digits}f}"
    if half < 0.5 * 10**-digits:
        return f"{text}e{power}" if power else text
    text = f"{text} ± {half:.{digits}f}"
    return f"({text})e{power}" if power else text


def by_candidate(rows: Iterable[tuple[str, list[float]]]) -> dict[str, np.ndarray]:
    """Groups rows by candidate: name → (seeds, numbers).

    Args:
        rows: Names in the form of a pipeline's sweep ("flow, seed 2" belongs to the candidate
            "flow"), each with the same number of values.
    """
    found: dict[str, list[list[float]]] = {}
    for name, numbers in rows:
        found.setdefault(re.sub(r",? ?seed[ -]?\d+$", "", name), []).append(numbers)
    return {name: np.array(rows) for name, rows in found.items()}


def summary_table(path: Path, columns: Iterable[str]) -> list[str]:
    """Returns a Markdown table of an evaluation's ``summary.csv`` over its seeds, as lines.

    Args:
        path: The file; only rows of the whole domain are used.
        columns: Names of columns in the file.

    Raises:
        click.ClickException: A column does not exist.
    """
    columns = list(columns)
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row.get("region")]
    for name in columns:
        if not rows or name not in rows[0]:
            raise click.ClickException(f"{path} has no column {name}.")
    numbers = ((row["candidate"], [float(row[name] or "nan") for name in columns]) for row in rows)
    lines = [f"| | seeds | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for name, values in by_candidate(numbers).items():
        told = " | ".join(mean_and_half_range(column) for column in values.T)
        lines.append(f"| {name} | {len(values)} | {told} |")
    return lines


@click.command()
@click.argument("summary", type=click.Path(exists=True, path_type=Path))
@click.argument("columns", nargs=-1, required=True)
def main(summary: Path, columns: tuple[str, ...]) -> None:
    """Print columns of SUMMARY, an evaluation's summary.csv, as a Markdown table."""
    click.echo("\n".join(summary_table(summary, columns)))


if __name__ == "__main__":
    main()
