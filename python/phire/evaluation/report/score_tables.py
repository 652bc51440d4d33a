"""Tables of scores as people read them: by region, season and channel, the best marked."""

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
from phire.evaluation.figures.reading import ResultsFolder
from phire.evaluation.figures.style import number_digits, pretty_units, readable
from phire.evaluation.member_ranges import HIGH, LOW, PREFIX

GROUPS = {"by_season": "season", "by_month": "month"}
"""Statistics by groups of times that become tables, and their dimension."""

KEY_NUMBERS = (
    "rmse",
    "bias",
    "crps",
    "spread_skill_ratio",
    "log_spectral_error",
    "wasserstein",
    "learned_distance",
)
"""Numbers of the first table: errors at points, calibration, detail and distribution."""


@dataclasses.dataclass(frozen=True)
class Number:
    """A number of the summary, ``NAME:CHANNEL:LABEL...``.

    Attributes:
        name: The column of the summary.
        known: Definition of ``NAME``.
        channel: The channel; empty for a number of no channel.
        title: What people call it, labels included.
    """

    name: str
    known: Definition
    channel: str
    title: str


@dataclasses.dataclass(frozen=True)
class Cell:
    """Cell of the table of scores: the value of one score for one candidate.

    Attributes:
        candidate: The candidate.
        value: As printed; an en dash where there is none.
        best: No other candidate has a better value.
        alike: Cannot be told from the best by the paired test.
        limits: Range of the members or interval of 95 %, as printed; empty where unknown.
    """

    candidate: str
    value: str
    best: bool
    alike: bool
    limits: str


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table: one number of all candidates."""

    number: Number
    units: str
    cells: tuple[Cell, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """Scores in one region over one group of times.

    Attributes:
        region: Empty for the whole domain.
        times: A season or month; empty for all times.
        candidates: In the order of the columns.
        sections: Heading, channel and rows; the numbers of no channel come first.
    """

    region: str
    times: str
    candidates: tuple[str, ...]
    sections: tuple[tuple[str, str, tuple[Row, ...]], ...]


def score_tables(folder: ResultsFolder) -> list[Table]:
    """Returns the tables of a folder of results: all times first, then seasons and months."""
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
    """Returns the rows of a table that a first look needs; see :data:`KEY_NUMBERS`."""
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
    """Returns the rows of ``summary.csv`` by region, indexed by candidate; empty without one."""
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
    """Returns the numeric columns under their headings: no channel, kinetic energy, channels.

    Args:
        folder: Folder of results, which knows the channels.
        table: Columns ``NAME:CHANNEL:LABEL...``.
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
            continue  # shown behind the number that it is an end of
        channel = labels.pop(0) if labels and labels[0] in found else ""
        heading = channel or ("other numbers" if labels else "")
        known = definition(name)
        title = known.title + (f", {', '.join(map(readable, labels))}" if labels else "")
        channel = channel if channel in folder.channels else ""
        found.setdefault(heading, []).append(Number(str(column), known, channel, title))
    return {heading: columns for heading, columns in found.items() if columns}


def _ended(name: str) -> set[str]:
    """Returns the numbers that ``NAME_low`` or ``NAME_high`` may be an end of."""
    base = name.rsplit("_", 1)[0]
    return {base, base.removeprefix(PREFIX)}


def _table(
    folder: ResultsFolder,
    region: str,
    times: str,
    rows: pd.DataFrame,
    differences: pd.DataFrame | None,
) -> Table:
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
    values = np.array([rows.loc[name, number.name] for name in candidates], dtype=float)
    best = best_of(values, number.known)
    alike = {
        name for i in best for name in equal_to(differences, region, number.name, candidates[i])
    }
    for i, name in enumerate(candidates):
        limits = _limits(rows, name, number)
        yield Cell(name, printed(values[i]), i in best, name in alike and i not in best, limits)


def _limits(rows: pd.DataFrame, candidate: str, number: Number) -> str:
    """The columns ``NAME_low`` and ``NAME_high`` beside a number; empty where there are none.

    Without an interval of its own, the score of an ensemble's mean has the range of its members.
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
    """Yields each group of times with times in it, and its numbers as ``summary.csv`` has them."""
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
    """Returns the places of the best values, several where they are equal as printed.

    Args:
        values: (n,) of one score; missing ones do not compete.
        known: The score's definition.

    Returns:
        The places; none where no direction is better or all who have a value are equal.
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
    """Returns values that are the lower the better: distances from the best possible value."""
    return {
        "lower": values,
        "higher": -values,
        "zero": np.abs(values),
        "one": np.abs(values - 1),
    }[known.better]


def direction_text(known: Definition) -> str:
    """Returns which direction is better in words; empty where none is."""
    return {
        "lower": "lower is better",
        "higher": "higher is better",
        "zero": "nearer to 0 is better",
        "one": "nearer to 1 is better",
    }.get(known.better, "")


def printed(value: float) -> str:
    """Returns four significant digits for people; an en dash where there is no value."""
    return "–" if not math.isfinite(value) else number_digits(value)
