"""Least and greatest over an ensemble's members of a statistic's result.

A statistic that names variables in :attr:`Statistic.member_ranges` keeps a state for each member,
under keys ``MEMBER/KEY``. Keys without a member belong to the ensemble as a whole, and to members
that have none of their own; what the ensemble lacks is that of all members merged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from phire.evaluation.accumulator import Batch, Ensemble, State, Statistic

LOW, HIGH = "_low", "_high"
"""Endings of the least and greatest over members, and of the ends of other intervals."""

PREFIX = "member_"
"""Beginning of variables that are of single members."""

Ends: TypeAlias = tuple[str, str]


def member_ends(variable: str) -> Ends:
    """Returns the names of the least and greatest over the members of a variable."""
    return f"{PREFIX}{variable}{LOW}", f"{PREFIX}{variable}{HIGH}"


def of_members(states: list[State]) -> State:
    """Returns the states of members, in their order, as one state."""
    return {f"{m}/{key}": value for m, state in enumerate(states) for key, value in state.items()}


def whole_keys(state: State) -> State:
    """Returns the part of a state that belongs to the ensemble as a whole."""
    return {key: value for key, value in state.items() if "/" not in key}


def states_of_members(state: State) -> list[State]:
    """Returns the state of each member; empty where members are not kept apart."""
    found: dict[int, State] = {}
    for key, value in state.items():
        member, separator, name = key.partition("/")
        if separator:
            found.setdefault(int(member), {})[name] = value
    return [found[member] for member in sorted(found)]


def state_of_all(statistic: Statistic, state: State, *, apart: Sequence[str] = ()) -> State:
    """Returns the state of the ensemble as a whole: members are merged where it lacks a key.

    Args:
        statistic: It says how members are merged.
        state: A state of all members, or of fields without members.
        apart: Keys that members keep apart.
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
    """Yields states to be joined of an ensemble that enters as its mean, or member by member.

    Args:
        statistic: Its ``ensemble`` is ``mean`` or ``each``.
        truth: Fields of the truth.
        ensemble: The members at the same times.
        apart: Keep members apart, where the statistic has ranges over them.
    """
    if statistic.ensemble == "mean":
        state = statistic.measure(truth, ensemble)
        if apart and statistic.member_ranges:
            state |= of_members(statistic.measure_members(truth, ensemble))
        yield state
        return
    states = (statistic.measure(truth, member) for member in ensemble.each())
    if not (apart and statistic.member_ranges):
        yield from states
        return
    each = list(states)
    shared = {key: sum(one.pop(key) for one in each) for key in statistic.shared_by_members}
    yield shared | of_members(each)


def result_with_ranges(statistic: Statistic, state: State) -> xr.Dataset:
    """Returns a statistic's result, with the least and greatest over members beside variables."""
    dataset = statistic.result(state_of_all(statistic, state))
    if not statistic.member_ranges:
        return dataset
    whole = whole_keys(state)
    states = states_of_members(state)
    if any(set(member) <= set(statistic.apart_always) for member in states):
        return dataset  # members are not kept apart but for these keys
    members = [statistic.result(whole | member) for member in states]
    for name in statistic.member_ranges if members else ():
        if name not in dataset:
            continue
        values = np.stack([member[name].values for member in members])
        for end, pick in zip(member_ends(name), (np.fmin, np.fmax)):
            dataset[end] = (dataset[name].dims, pick.reduce(values), dataset[name].attrs)
    return dataset


def summary_with_ranges(
    pairs: tuple[tuple[str, str], ...], dataset: xr.Dataset
) -> tuple[tuple[str, str], ...]:
    """Returns pairs of a variable and its name in the table, those of ranges beside them.

    Args:
        pairs: See :attr:`Statistic.summary`.
        dataset: The result.
    """
    found = list(pairs)
    for variable, number in pairs:
        base, separator, labels = number.partition(":")
        for end, column in zip(member_ends(variable), member_ends(base)):
            if end in dataset:
                found.append((end, f"{column}{separator}{labels}"))
    return tuple(found)
