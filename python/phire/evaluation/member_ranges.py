"""Ranges of the results over the members of an ensemble: minimum and maximum.

A statistic that names variables in :attr:`Statistic.member_ranges` has a state for each member,
under the keys ``MEMBER/KEY``, besides the keys of the ensemble. For a key that a member lacks, the
ensemble's value is used; a key that the ensemble lacks is computed by merging the members.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble

LOW, HIGH = "_low", "_high"
"""Suffixes of variables with the minimum and maximum over members, or both ends of an interval."""

PREFIX = "member_"
"""Prefix of variables of single members."""

Ends: TypeAlias = tuple[str, str]
"""Names of the variables of both ends of a range."""


def member_ends(variable: str) -> Ends:
    """Returns the names of the variables with the minimum and maximum over the members."""
    return f"{PREFIX}{variable}{LOW}", f"{PREFIX}{variable}{HIGH}"


def of_members(states: list[State]) -> State:
    """Returns one state that contains the states of all members, under ``MEMBER/KEY``."""
    return {f"{m}/{key}": value for m, state in enumerate(states) for key, value in state.items()}


def whole_keys(state: State) -> State:
    """Returns the keys of a state that belong to the ensemble, not to single members."""
    return {key: value for key, value in state.items() if "/" not in key}


def states_of_members(state: State) -> list[State]:
    """Returns the states of the members in a state; empty if it has none."""
    found: dict[int, State] = {}
    for key, value in state.items():
        member, separator, name = key.partition("/")
        if separator:
            found.setdefault(int(member), {})[name] = value
    return [found[member] for member in sorted(found)]


def has_ranges(statistic: Statistic, state: State) -> bool:
    """Returns True if a state has the states of single members, from which ranges follow.

    States of members that hold only the keys of ``apart_always`` do not count.
    """
    members = states_of_members(state) if statistic.member_ranges else []
    return bool(members) and not any(set(one) <= set(statistic.apart_always) for one in members)


def member_bytes(statistic: Statistic, state: State) -> int:
    """Returns the size in bytes of the sums of single members in a state.

    Series do not count: over all groups of times they have the same total size as without groups.
    """
    return sum(
        np.asarray(value).nbytes
        for key, value in state.items()
        if "/" in key and key.rpartition("/")[2] not in statistic.series
    )


def state_of_all(statistic: Statistic, state: State, *, apart: Sequence[str] = ()) -> State:
    """Returns the state of the ensemble, with keys that it lacks merged from its members.

    Args:
        statistic: The statistic, which defines how members are merged.
        state: State of an ensemble, or of fields without members.
        apart: Keys that are not merged, but stay in the states of the members.
    """
    members = states_of_members(state) if statistic.member_ranges else []
    if not members:
        return state
    whole = whole_keys(state)
    alone = [{key: member[key] for key in apart} for member in members]
    lacking = [
        {key: value for key, value in member.items() if key not in whole and key not in apart}
        for member in members
    ]
    return statistic.merge_members(lacking) | whole | of_members(alone)


def measured(
    statistic: Statistic, truth: Batch, ensemble: Ensemble, *, apart: bool
) -> Iterator[State]:
    """Yields one state of the ensemble, or one for each member, which the caller joins.

    Args:
        statistic: Statistic whose ``ensemble`` is ``mean`` or ``each``.
        truth: Fields of the truth.
        ensemble: Fields of the members at the same times.
        apart: If True, and the statistic has ranges over members, the states of the members are
            stored separately.
    """
    if statistic.ensemble == "mean":
        state = statistic.measure(truth, ensemble)
        if apart and statistic.member_ranges:
            each = statistic.measure_members(truth, ensemble)
            state |= of_members([_without(one, statistic.shared_by_members) for one in each])
        yield state
        return
    each = statistic.measure_members(truth, ensemble)
    if not (apart and statistic.member_ranges):
        yield from each
        return
    shared = {key: sum(one[key] for one in each) for key in statistic.shared_by_members}
    yield shared | of_members([_without(one, statistic.shared_by_members) for one in each])


def _without(state: State, keys: Sequence[str]) -> State:
    """Returns a state without some keys."""
    return {key: value for key, value in state.items() if key not in keys}


def result_with_ranges(statistic: Statistic, state: State) -> xr.Dataset:
    """Returns the result of a statistic with the ranges of its variables over members."""
    dataset = statistic.result(state_of_all(statistic, state))
    if not has_ranges(statistic, state):
        return dataset
    whole = whole_keys(state)
    members = [statistic.result(whole | member) for member in states_of_members(state)]
    for name in statistic.member_ranges:
        if name not in dataset:
            continue
        values = np.stack([member[name].values for member in members])
        for end, pick in zip(member_ends(name), (np.fmin, np.fmax)):
            dataset[end] = (dataset[name].dims, pick.reduce(values), dataset[name].attrs)
    return dataset


def summary_with_ranges(
    pairs: tuple[tuple[str, str], ...], dataset: xr.Dataset
) -> tuple[tuple[str, str], ...]:
    """Returns pairs of a variable and its name in the table, with those of ranges added.

    Args:
        pairs: Pairs of :attr:`Statistic.summary`.
        dataset: The result.
    """
    found = list(pairs)
    for variable, number in pairs:
        base, separator, labels = number.partition(":")
        for end, column in zip(member_ends(variable), member_ends(base)):
            if end in dataset:
                found.append((end, f"{column}{separator}{labels}"))
    return tuple(found)
