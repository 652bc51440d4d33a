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
    _check_groupings(by)
    names, skipped = _chosen_metrics(metrics, settings, placed)
    settings = [dataclasses.replace(one, grouped=tuple(names)) for one in settings]
    groups, skipped_groups = _chosen_groupings(by, settings, placed)
    names += groups
    names += _chosen_metrics(["uncertainty"], settings, placed)[0] if uncertainty else []
    skipped += skipped_groups
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


def _check_groupings(by: Sequence[str]) -> None:
    """Raises an InputError if a group of times is unknown."""
    for name in by:
        if name not in GROUPINGS:
            raise InputError(f"--by {name}: it must be one of {', '.join(GROUPINGS)}.")


def _chosen_groupings(
    by: Sequence[str], settings: Sequence[Setting], placed: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Returns the statistics by groups of times, and texts on those left out, with reasons.

    Args:
        by: Groups of times.
        settings: Settings of all domains.
        placed: Candidates by name.

    Raises:
        InputError: Scores cannot be computed by any of the groups; the message has all reasons.
    """
    reasons = {f"by_{name}": _refusal(f"by_{name}", settings, placed, True) for name in by}
    refused = {name: reason for name, reason in reasons.items() if reason is not None}
    if refused and len(refused) == len(reasons):
        groups: dict[str, list[str]] = {}
        for name, reason in refused.items():
            groups.setdefault(reason, []).append(name.removeprefix("by_"))
        stated = [f"--by {','.join(names)}: {reason}" for reason, names in groups.items()]
        raise InputError(f"{'; '.join(stated)}.")
    chosen = [name for name in reasons if name not in refused]
    return chosen, [f"{name} ({reason})" for name, reason in refused.items()]


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
        reason = _refusal(name, settings, placed, bool(metrics))
        if reason is None:
            chosen.append(name)
        elif metrics:
            option = "--uncertainty" if name == "uncertainty" else f"--metrics {name}"
            raise InputError(f"{option}: {reason}.")
        elif (
            statistic.noted_if_refused
            and statistic.ensemble != "all"
            and statistic.applies_to(settings[0])
        ):
            skipped.append(f"{name} ({reason})")
    return chosen, skipped


def _refusal(
    name: str, settings: Sequence[Setting], placed: Mapping[str, Any], named: bool
) -> str | None:
    """Returns the reason why a statistic cannot be computed in any domain; None if it can.

    Args:
        name: Name of the statistic.
        settings: Settings of all domains.
        placed: Candidates by name.
        named: True if the user named the statistic, which then needs a candidate to compare.
    """
    statistic = statistics()[name]
    reasons = [
        "it is computed in regions, and none is named: add --region NAME=N,W,S,E"
        if not statistic.applies_to(setting)
        else statistic.refusal(setting)
        for setting in settings
    ]
    if statistic.ensemble == "all" and not any(s.members for s in placed.values()):
        return "no candidate has members"
    if named and not placed and not statistic.of_truth:
        return "it compares candidates with the truth, and none is given: add --candidate"
    return None if None in reasons else reasons[0]
