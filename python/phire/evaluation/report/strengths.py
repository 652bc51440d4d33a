"""Sentences on what is good and what is bad about each candidate, from numbers and paired tests."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd

from phire.evaluation.definitions import Definition
from phire.evaluation.figures.style import readable
from phire.evaluation.report.score_tables import Row, Table, badness

ENERGY = "kinetic_energy"

NAMED = 2
"""Numbers that a sentence names, at most."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Sentences about one candidate.

    Attributes:
        candidate: The candidate.
        good: In how many numbers it is ahead: no other candidate is better, and some are worse.
        bad: In how many it is behind: no other is worse, and some are better.
    """

    candidate: str
    good: str
    bad: str


def verdicts(table: Table, values: pd.DataFrame, differences: pd.DataFrame | None) -> list[Verdict]:
    """Returns what is good and bad about each candidate.

    A number counts where two candidates have a value and a direction is better. One candidate is
    better than another where the paired test tells them apart, or, untested, where the printed
    value is better.

    Args:
        table: The scores of one region over all times.
        values: The same numbers, unrounded: a row a candidate, a column a number.
        differences: Table of paired differences; None where no test was made.
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
    """One number of the candidates that have it, ordered by pairs."""

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
        """Candidates that each one is better than."""
        for i, one in enumerate(names):
            for j, other in enumerate(names):
                differ = shown[one] != shown[other] and frozenset((one, other)) not in equal
                if bad[i] < bad[j] and differ:
                    self.worse[one].add(other)

    def has(self, name: str) -> bool:
        return name in self.values

    def better_than(self, name: str) -> set[str]:
        """The candidates that are better than one."""
        return {other for other, beaten in self.worse.items() if name in beaten}

    def leads(self, name: str) -> bool:
        return bool(self.worse[name]) and not self.better_than(name)

    def trails(self, name: str) -> bool:
        return bool(self.better_than(name)) and not self.worse[name]

    def gap(self, name: str, other: str) -> float:
        """How many times the error of one is that of another, as a logarithm."""
        least = 1e-12 * max(self.errors.values()) or 1e-300
        return math.log(max(self.errors[other], least) / max(self.errors[name], least))

    def next_best(self, name: str) -> str:
        return min(self.worse[name], key=self.errors.__getitem__)

    def best(self) -> str:
        return min(self.errors, key=self.errors.__getitem__)

    def words(self, name: str, other: str, role: str) -> str:
        """``Bias of t2m (0.3 K; best: 0.1 K)``, labels such as a site after the channel."""
        number, units = self.row.number, f" {self.row.units}" if self.row.units else ""
        rest = [part for part in number.name.split(":")[1:2] if part in (number.channel, ENERGY)]
        of = f" of {readable(rest[0])}" if rest else ""
        labels = number.title.removeprefix(number.known.title)
        values = f"{self.shown[name]}{units}; {role}: {self.shown[other]}{units}"
        return f"{number.known.title}{of}{labels} ({values})"


def _errors(values: np.ndarray, known: Definition) -> np.ndarray:
    """Distances from the perfect value that can be divided by each other; all at least 0."""
    if known.better != "higher":
        return np.abs(badness(values, known))
    # Skill scores and correlations end at 1; signal-to-noise ratios have no end.
    return 1 - values if values.max() <= 1 else 1 / np.maximum(values, 1e-300)


def _equal_pairs(differences: pd.DataFrame | None, region: str, number: str) -> set[frozenset[str]]:
    if differences is None:
        return set()
    here = differences[(differences["region"] == region) & (differences["number"] == number)]
    here = here[here["equal"].astype(str) == "True"]
    return {frozenset(pair) for pair in zip(here["first"], here["second"])}


def _verdict(name: str, compared: list[_Compared]) -> Verdict:
    if not compared:
        text = "Nothing to compare it with: add --candidate bicubic=bicubic, say."
        return Verdict(name, text, text)
    count = len(compared)
    leading = [one for one in compared if one.leads(name)]
    trailing = [one for one in compared if one.trails(name)]
    good = f"Ahead in {len(leading) or 'none'} of {count} numbers"
    bad = f"Behind in {len(trailing) or 'none'} of {count} numbers"
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
    """The pairs of greatest gap, one for each kind of number; biases, which may be 0, come last."""
    ordered = sorted(
        pairs, key=lambda pair: (pair[0].row.number.known.better == "zero", -gap(*pair))
    )
    found = {}
    for pair in ordered:
        found.setdefault(pair[0].row.number.known.name, pair)
    return list(found.values())[:NAMED]
