"""Sentences on strengths and weaknesses of each candidate, from scores and paired tests."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd

from phire.evaluation.definitions import Definition
from phire.evaluation.figures.label_text import readable
from phire.evaluation.report.score_tables import Row, Table, badness

ENERGY = "kinetic_energy"

NAMED = 2
"""Largest number of scores that a sentence names."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Sentences on one candidate.

    Attributes:
        candidate: The candidate.
        good: Sentence on the scores in which it is ahead: no candidate is better, some are worse.
        bad: Sentence on the scores in which it is behind: no candidate is worse, some are better.
    """

    candidate: str
    good: str
    bad: str


def verdicts(table: Table, values: pd.DataFrame, differences: pd.DataFrame | None) -> list[Verdict]:
    """Returns sentences on the strengths and weaknesses of each candidate.

    Scores count if they have a better direction and values of at least two candidates. One
    candidate is better than another if its printed value is better and the paired test, if there
    is one, finds the difference significant.

    Args:
        table: Scores of one region over all times.
        values: Unrounded scores, with a row for each candidate and a column for each score.
        differences: Table of paired differences; None without a test.
    """
    compared = [
        _Compared(row, table.candidates, values, table.region, differences)
        for _, _, rows in table.sections
        for row in rows
        if row.number.known.better
        and np.isfinite(values[row.number.name].reindex(table.candidates)).sum() > 1
    ]
    return [_verdict(name, [one for one in compared if one.has(name)]) for name in table.candidates]


class _Compared:
    """One score of all candidates that have it, compared by pairs.

    Attributes:
        row: Row of the table of scores.
        shown: Printed value by candidate.
        values: Value by candidate.
        errors: Distance from the best possible value by candidate.
        worse: By candidate, the candidates that are worse.
    """

    def __init__(
        self,
        row: Row,
        candidates: tuple[str, ...],
        values: pd.DataFrame,
        region: str,
        differences: pd.DataFrame | None,
    ) -> None:
        known = row.number.known
        shown = {cell.candidate: cell.value for cell in row.cells}
        raw = {name: float(values.loc[name, row.number.name]) for name in candidates}
        self.row, self.shown = row, shown
        self.values = {name: value for name, value in raw.items() if math.isfinite(value)}
        names = list(self.values)
        bad = badness(np.array([self.values[name] for name in names]), known)
        self.errors = dict(zip(names, _errors(np.array(list(self.values.values())), known)))
        equal = _equal_pairs(differences, region, row.number.name)
        self.worse: dict[str, set[str]] = {name: set() for name in names}
        for i, one in enumerate(names):
            for j, other in enumerate(names):
                differ = shown[one] != shown[other] and frozenset((one, other)) not in equal
                if bad[i] < bad[j] and differ:
                    self.worse[one].add(other)

    def has(self, name: str) -> bool:
        """Returns True if a candidate has the score."""
        return name in self.values

    def better_than(self, name: str) -> set[str]:
        """Returns the candidates that are better than ``name``."""
        return {other for other, beaten in self.worse.items() if name in beaten}

    def leads(self, name: str) -> bool:
        """Returns True if no candidate is better than ``name``, and some are worse."""
        return bool(self.worse[name]) and not self.better_than(name)

    def trails(self, name: str) -> bool:
        """Returns True if no candidate is worse than ``name``, and some are better."""
        return bool(self.better_than(name)) and not self.worse[name]

    def gap(self, name: str, other: str) -> float:
        """Returns ln(error of ``other`` / error of ``name``)."""
        # A lower bound of the errors keeps the ratio finite if one of them is 0.
        least = 1e-12 * max(self.errors.values()) or 1e-300
        return math.log(max(self.errors[other], least) / max(self.errors[name], least))

    def next_best(self, name: str) -> str:
        """Returns the best of the candidates that are worse than ``name``."""
        return min(self.worse[name], key=self.errors.__getitem__)

    def best(self) -> str:
        """Returns the candidate with the smallest error."""
        return min(self.errors, key=self.errors.__getitem__)

    def words(self, name: str, other: str, role: str) -> str:
        """Returns words such as ``Bias of t2m (0.3 K; best: 0.1 K)``.

        Args:
            name: The candidate of the first value.
            other: The candidate of the second value.
            role: Word for the second candidate: ``best`` or ``next``.
        """
        number, units = self.row.number, f" {self.row.units}" if self.row.units else ""
        rest = [part for part in number.name.split(":")[1:2] if part in (number.channel, ENERGY)]
        of = f" of {readable(rest[0])}" if rest else ""
        labels = number.title.removeprefix(number.known.title)
        values = f"{self.shown[name]}{units}; {role}: {self.shown[other]}{units}"
        return f"{number.known.title}{of}{labels} ({values})"


def _errors(values: np.ndarray, known: Definition) -> np.ndarray:
    """Returns non-negative distances from the best possible value, whose ratios are meaningful."""
    if known.better != "higher":
        return np.abs(badness(values, known))
    # Skill scores and correlations are at most 1; signal-to-noise ratios are unbounded.
    return 1 - values if values.max() <= 1 else 1 / np.maximum(values, 1e-300)


def _equal_pairs(differences: pd.DataFrame | None, region: str, number: str) -> set[frozenset[str]]:
    """Returns the pairs of candidates whose difference in a score is not significant."""
    if differences is None:
        return set()
    rows = differences[(differences["region"] == region) & (differences["number"] == number)]
    rows = rows[rows["equal"].astype(str) == "True"]
    return {frozenset(pair) for pair in zip(rows["first"], rows["second"])}


def _verdict(name: str, compared: list[_Compared]) -> Verdict:
    """Returns the sentences on one candidate, from the scores that it has."""
    if not compared:
        text = "There is no other candidate to compare with: add, say, --candidate bicubic=bicubic."
        return Verdict(name, text, text)
    count = len(compared)
    leading = [one for one in compared if one.leads(name)]
    trailing = [one for one in compared if one.trails(name)]
    good = f"Ahead in {len(leading) or 'none'} of {count} scores"
    bad = f"Behind in {len(trailing) or 'none'} of {count} scores"
    if leading:
        pairs = [(one, one.next_best(name)) for one in leading]
        named = _clearest(pairs, lambda one, other: one.gap(name, other))
        words = [one.words(name, other, "next") for one, other in named]
        good += f"; most clearly: {'; '.join(words)}"
    else:
        pairs = [(one, one.best()) for one in compared]
        one, best = _clearest(pairs, lambda one, other: one.gap(name, other))[0]
        good += f"; nearest to the best: {one.words(name, best, 'best')}"
    behind = trailing or [one for one in compared if one.better_than(name)]
    if behind:
        pairs = [(one, one.best()) for one in behind]
        named = _clearest(pairs, lambda one, best: one.gap(best, name))
        words = [one.words(name, best, "best") for one, best in named]
        bad += f"; furthest from the best: {'; '.join(words)}"
    return Verdict(name, f"{good}.", f"{bad}.")


def _clearest(pairs: list, gap) -> list:
    """Returns the pairs with the largest gaps, at most :data:`NAMED` and one for each score.

    Biases come last, since the ratio of two biases near 0 means little.

    Args:
        pairs: Pairs of a compared score and a candidate.
        gap: Function of both that returns the gap.
    """
    ordered = sorted(
        pairs, key=lambda pair: (pair[0].row.number.known.better == "zero", -gap(*pair))
    )
    found = {}
    for pair in ordered:
        found.setdefault(pair[0].row.number.known.name, pair)
    return list(found.values())[:NAMED]
