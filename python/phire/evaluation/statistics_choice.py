"""Choice of an evaluation's statistics for its domain and regions, and their result files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from phire.errors import InputError
from phire.evaluation.catalogue import check_names, default_names, statistics
from phire.evaluation.domain import Domain
from phire.evaluation.pairing import AlignedSource
from phire.evaluation.results import TRUTH
from phire.evaluation.results_folder import ResultFile
from phire.evaluation.setting import Setting
from phire.evaluation.site_series import nearest_points
from phire.evaluation.wind import named_wind

GROUPINGS = ("hour", "month", "season")
"""Groups of times by which scores can be computed."""


def choose_statistics(
    setting: Setting,
    regions: Mapping[str, Any],
    placed: Mapping[str, AlignedSource],
    metrics: Sequence[str] | None,
    by: Sequence[str],
    uncertainty: bool,
) -> tuple[list[Setting], list[str], list[str]]:
    """Returns the settings of all domains, the statistics to compute, and those left out.

    A statistic that is left out is returned as a text with the reason.

    Raises:
        InputError: A region, statistic, group of times or site is invalid.
    """
    grid = setting.grid
    domains = [Domain.parse(name, grid, region) for name, region in regions.items()]
    settings = [dataclasses.replace(setting, domain=one) for one in (setting.domain, *domains)]
    groups = _group_names(by, uncertainty)
    names, skipped = _chosen_metrics(metrics, settings, placed)
    settings = [dataclasses.replace(one, grouped=tuple(names)) for one in settings]
    names += _chosen_metrics(groups, settings, placed)[0] if groups else []
    if setting.named_wind is not None:  # raises InputError, even if no statistic uses the wind
        named_wind(setting.channels, setting.units, setting.named_wind)
    if setting.sites and grid.has_points:
        nearest_points(grid, setting.sites)  # raises InputError for sites outside the grid
    return settings, names, skipped


def result_files(
    names: Sequence[str], settings: Sequence[Setting], placed: Mapping[str, Any]
) -> list[ResultFile]:
    """Returns the files of results that an evaluation consists of."""
    wanted = []
    for setting in settings:
        for name in names:
            statistic = statistics()[name]
            if not statistic.applies_to(setting) or statistic.refusal(setting) is not None:
                continue
            if statistic.of_truth:
                wanted.append(ResultFile(TRUTH, name, setting.domain.name))
            for candidate, source in placed.items():
                if statistic.ensemble != "all" or source.members:
                    wanted.append(ResultFile(candidate, name, setting.domain.name))
    return wanted


def _group_names(by: Sequence[str], uncertainty: bool) -> list[str]:
    """Returns the names of the requested statistics by groups of times and of uncertainty.

    Raises:
        InputError: A group of times is unknown.
    """
    for name in by:
        if name not in GROUPINGS:
            raise InputError(f"--by {name}: it must be one of {', '.join(GROUPINGS)}.")
    return [f"by_{name}" for name in by] + (["uncertainty"] if uncertainty else [])


def _chosen_metrics(
    metrics: Sequence[str] | None, settings: Sequence[Setting], placed: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Returns the statistics that apply to a domain, and texts on those left out, with reasons.

    Args:
        metrics: Names of statistics; None means the default set.
        settings: Settings of all domains.
        placed: Candidates by name.

    Raises:
        InputError: A statistic of ``metrics`` is unknown, applies to no domain, or needs a
            candidate where none is given.
    """
    check_names(metrics or ())
    chosen, skipped = [], []
    for name in metrics or default_names():
        statistic = statistics()[name]
        reasons = [
            "it is computed in regions, and none is named: add --region NAME=N,W,S,E"
            if not statistic.applies_to(setting)
            else statistic.refusal(setting)
            for setting in settings
        ]
        reason = None if None in reasons else reasons[0]
        if metrics and not placed and not statistic.of_truth:
            reason = "it compares candidates with the truth, and none is given: add --candidate"
        if statistic.ensemble == "all" and not any(s.members for s in placed.values()):
            reason = "no candidate has members"
        if reason is None:
            chosen.append(name)
        elif metrics:
            raise InputError(f"{_option(name)}: {reason}.")
        elif (
            statistic.noted_if_refused
            and statistic.ensemble != "all"
            and statistic.applies_to(settings[0])
        ):
            skipped.append(f"{name} ({reason})")
    return chosen, skipped


def _option(name: str) -> str:
    """Returns the option by which a statistic was asked for."""
    if name.startswith("by_"):
        return f"--by {name.removeprefix('by_')}"
    return "--uncertainty" if name == "uncertainty" else f"--metrics {name}"
