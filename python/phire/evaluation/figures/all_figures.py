"""All figures that a folder of results gives."""

from __future__ import annotations

from phire.evaluation.catalogue import statistics
from phire.evaluation.figures.plan import GROUPS, Plan
from phire.evaluation.figures.reading import ResultsFolder


def plans(folder: ResultsFolder) -> list[Plan]:
    """Returns the figures of all statistics, in the order of the report."""
    found = [plan for one in statistics().values() for plan in one.figures(folder)]
    groups = list(GROUPS)
    return sorted(found, key=lambda plan: groups.index(plan.group))
