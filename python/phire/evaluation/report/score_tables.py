"""Tables of scores for the report, by region, season and channel, with the best value marked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from phire.evaluation.candidate_differences import equal_to, read_differences
from phire.evaluation.catalogue import definition
from phire.evaluation.definitions import Definition
from phire.evaluation.figures.label_text import number_digits, pretty_units, readable
from phire.evaluation.figures.results_reading import ResultsFolder
from phire.evaluation.member_ranges import HIGH, LOW, PREFIX

GROUPS = {"by_season": "season", "by_month": "month"}
"""Statistics by groups of times that have tables, with the dimension of the groups."""

KEY_NUMBERS = (
    "rmse",
    "bias",
    "crps",
    "spread_skill_ratio",
    "log_spectral_error",
    "wasserstein",
    "learned_distance",
)
"""Scores of the first table: pointwise errors, calibration, detail and distribution."""


@dataclasses.dataclass(frozen=True)
class Number:
    """Score in the table of scores, a column ``NAME:CHANNEL:LABEL...`` of ``summary.csv``.

    Attributes:
        name: Name of the column.
        known: Definition of ``NAME``.
        channel: The channel; empty for a score without a channel.
        title: Title with the labels.
    """

    name: str
    known: Definition
    channel: str
    title: str


@dataclasses.dataclass(frozen=True)
class Cell:
    """Cell of a table of scores, with the value of one candidate.

    Attributes:
        candidate: The candidate.
        value: Printed value; an en dash if there is none.
        best: True if no other candidate has a better value.
        alike: True if the difference from the best value is not significant.
        limits: Printed range of the members or 95 % interval; empty if unknown.
    """

    candidate: str
    value: str
    best: bool
    alike: bool
    limits: str


@dataclasses.dataclass(frozen=True)
class Row:
    """Row of a table of scores.

    Attributes:
        number: The score.
        units: Its units.
        cells: A cell for each candidate.
    """

    number: Number
    units: str
    cells: tuple[Cell, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """Table of scores of one region and one group of times.

    Attributes:
        region: Name of the region; empty for the whole domain.
        times: Season or month; empty for all times.
        candidates: Candidates in the order of the columns.
        sections: Heading, channel and rows of each section; scores without a channel come first.
    """

    region: str
    times: str
    candidates: tuple[str, ...]
    sections: tuple[tuple[str, str, tuple[Row, ...]], ...]


def score_tables(folder: ResultsFolder) -> list[Table]:
    """Returns the tables of a results folder: those of all times, then of seasons and months."""
    differences = read_differences(folder.path)
    found = [
        _table(folder, region, "", rows, differences)
        for region, rows in summary_by_region(folder).items()
    ]
    for metric, dimension in GROUPS.items():
        for region in folder.regions_of(metric):
            for label, rows in _grouped(folder.metric(metric, region), dimension):
                found.append(_table(folder, region, label, rows, None))
    return found


def key_table(table: Table) -> Table:
    """Returns a table with the rows of the most important scores, :data:`KEY_NUMBERS`, only."""
    sections = []
    for heading, channel, rows in table.sections:
        chosen = tuple(
            row
            for row in rows
            if (
                row.number.known.name in KEY_NUMBERS and row.number.name.count(":") <= bool(channel)
            )
            or (heading == "kinetic_energy" and row.number.known.name == "log_spectral_error")
        )
        if chosen:
            sections.append((heading, channel, chosen))
    return dataclasses.replace(table, sections=tuple(sections))


def summary_by_region(folder: ResultsFolder) -> dict[str, pd.DataFrame]:
    """Returns the rows of ``summary.csv`` by region, indexed by candidate.

    The result is empty if there is no ``summary.csv``.
    """
    summary = folder.summary
    if summary is None or summary.empty:
        return {}
    if "region" not in summary:
        return {"": summary.set_index("candidate")}
    regions = summary["region"].fillna("").astype(str)
    return {
        region: summary[regions == region].set_index("candidate")
        for region in dict.fromkeys(regions)
    }


def numbers_of(folder: ResultsFolder, table: pd.DataFrame) -> dict[str, list[Number]]:
    """Returns the scores of a table by heading: no channel, kinetic energy, then each channel.

    Args:
        folder: Results folder, from which the channels are known.
        table: Table with the columns ``NAME:CHANNEL:LABEL...``.
    """
    found: dict[str, list[Number]] = {"": [], "kinetic_energy": []}
    found |= {channel: [] for channel in folder.channels}
    bases = {str(column).split(":")[0] for column in table.columns}
    for column in table.columns:
        values = pd.to_numeric(table[column], errors="coerce")
        if column in ("region", "candidate") or values.isna().all():
            continue
        name, *labels = str(column).split(":")
        if name.endswith((LOW, HIGH)) and bases & _ended(name):
            continue  # an end of a range, shown behind the score
        channel = labels.pop(0) if labels and labels[0] in found else ""
        heading = channel or ("other scores" if labels else "")
        known = definition(name)
        title = known.title + (f", {', '.join(map(readable, labels))}" if labels else "")
        channel = channel if channel in folder.channels else ""
        found.setdefault(heading, []).append(Number(str(column), known, channel, title))
    return {heading: columns for heading, columns in found.items() if columns}


def _ended(name: str) -> set[str]:
    """Returns the scores whose range ``NAME_low`` or ``NAME_high`` may bound."""
    base = name.rsplit("_", 1)[0]
    return {base, base.removeprefix(PREFIX)}


def _table(
    folder: ResultsFolder,
    region: str,
    times: str,
    rows: pd.DataFrame,
    differences: pd.DataFrame | None,
) -> Table:
    """Returns the table of one region and group of times.

    Args:
        folder: Results folder.
        region: Name of the region.
        times: Season or month; empty for all times.
        rows: Scores, with a row for each candidate.
        differences: Table of paired differences; None without a test.
    """
    candidates = [name for name in folder.candidates if name in rows.index]
    candidates += [name for name in rows.index if name not in candidates]
    sections = []
    for heading, numbers in numbers_of(folder, rows).items():
        channel = heading if heading in folder.channels else ""
        lines = tuple(
            Row(
                number,
                pretty_units(folder.units(number.known.name, number.channel or None)),
                tuple(_cells(rows, candidates, number, region, differences)),
            )
            for number in numbers
        )
        sections.append((heading, channel, lines))
    return Table(region, times, tuple(candidates), tuple(sections))


def _cells(
    rows: pd.DataFrame,
    candidates: Sequence[str],
    number: Number,
    region: str,
    differences: pd.DataFrame | None,
) -> Iterator[Cell]:
    """Yields the cells of one row; see :func:`_table`."""
    values = np.array([rows.loc[name, number.name] for name in candidates], dtype=float)
    best = best_of(values, number.known)
    alike = {
        name for i in best for name in equal_to(differences, region, number.name, candidates[i])
    }
    for i, name in enumerate(candidates):
        limits = _limits(rows, name, number)
        yield Cell(name, printed(values[i]), i in best, name in alike and i not in best, limits)


def _limits(rows: pd.DataFrame, candidate: str, number: Number) -> str:
    """Returns the printed range of a score: its interval, or else the range of the members.

    It is empty if ``rows`` has neither.
    """
    base, separator, labels = number.name.partition(":")
    for prefix, words in (("", ""), (PREFIX, "members ")):
        ends = [f"{prefix}{base}{end}{separator}{labels}" for end in (LOW, HIGH)]
        if all(end in rows for end in ends):
            low, high = (float(rows.loc[candidate, end]) for end in ends)
            if math.isfinite(low + high):
                return f"({words}{printed(low)} … {printed(high)})"
    return ""


def _grouped(
    datasets: Mapping[str, xr.Dataset], dimension: str
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields each group that has times, with its scores in columns as in ``summary.csv``.

    Args:
        datasets: Results by candidate.
        dimension: Dimension of the groups.
    """
    some = next(iter(datasets.values()))
    for i, label in enumerate(some[dimension].values):
        rows = {}
        for candidate, dataset in datasets.items():
            if not int(dataset["times"].values[i]):
                continue
            row = rows.setdefault(candidate, {})
            for name, array in dataset.data_vars.items():
                if array.dims[0] != dimension or name == "times":
                    continue
                values = array.values[i]
                for place in np.ndindex(*values.shape):
                    labels = [str(array[d].values[p]) for d, p in zip(array.dims[1:], place)]
                    row[":".join([str(name), *labels])] = float(values[place])
        if rows:
            yield str(label), pd.DataFrame.from_dict(rows, orient="index")


def best_of(values: np.ndarray, known: Definition) -> set[int]:
    """Returns the indices of the best values, several if they are equal as printed.

    Args:
        values: (n,) values of one score; NaN where a candidate has none.
        known: Definition of the score.

    Returns:
        The indices; empty if no direction is better, or if all values are equal.
    """
    if not known.better or np.isfinite(values).sum() < 2:
        return set()
    distance = badness(values, known)
    least = printed(values[int(np.nanargmin(distance))])
    best = {
        i
        for i, value in enumerate(values)
        if np.isfinite(value) and (printed(value) == least or distance[i] == np.nanmin(distance))
    }
    return best if len(best) < np.isfinite(values).sum() else set()


def badness(values: np.ndarray, known: Definition) -> np.ndarray:
    """Returns values of which lower is better, from values of a score with any direction."""
    return {
        "lower": values,
        "higher": -values,
        "zero": np.abs(values),
        "one": np.abs(values - 1),
    }[known.better]


def direction_text(known: Definition) -> str:
    """Returns the better direction in words; empty if no direction is better."""
    return {
        "lower": "lower is better",
        "higher": "higher is better",
        "zero": "nearer to 0 is better",
        "one": "nearer to 1 is better",
    }.get(known.better, "")


def printed(value: float) -> str:
    """Returns a value with four significant digits; an en dash if it is not finite."""
    return "–" if not math.isfinite(value) else number_digits(value)
