"""List of all figures of a results folder."""

from __future__ import annotations

import dataclasses

from phire.evaluation.catalogue import statistics
from phire.evaluation.figures.figure_plan import GROUPS, Plan
from phire.evaluation.figures.results_reading import ResultsFolder
from phire.evaluation.figures.score_plots import time_series_plans


def plans(folder: ResultsFolder) -> list[Plan]:
    """Returns the plans of the figures of all statistics, in the order of the report."""
    found = []
    for name, one in statistics().items():
        planned = one.figures(folder)
        if planned is None:
            planned = time_series_plans(folder, name, one.title)
        for plan in planned:
            shown = folder.metric(name, plan.region)
            candidates = tuple(n for n in folder.candidates if n in shown)
            found.append(dataclasses.replace(plan, candidates=candidates))
    groups = list(GROUPS)
    return sorted(found, key=lambda plan: groups.index(plan.group))
