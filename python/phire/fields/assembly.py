"""Assembly of an output's channels from groups of files: rates, units, periods, one grid."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence

from phire import progress, value_text
from phire.errors import InputError
from phire.fields.aggregation import AggregatedSource, Aggregation
from phire.fields.collection import CollectedSource, Part
from phire.fields.deaccumulation import RateSource
from phire.fields.grid import Grid
from phire.fields.grid_specification import target_grid
from phire.fields.longitudes import TurnedSource, shared_columns
from phire.fields.merging import MergedSource, collect_groups, in_order
from phire.fields.regridding import RegriddedSource, note_outside
from phire.fields.selection import (
    DERIVED,
    ChannelSelection,
    ConvertedUnits,
    EastwardWind,
    WindSource,
    unturned_note,
)
from phire.fields.source import Source


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Steps from the variables of files to the channels of an output, in this order.

    Attributes:
        variables: Variables by the names of their channels; None takes all.
        wind: Names of eastward and northward wind, to make divergence and vorticity of.
        turn_wind: Channels of wind along x and y, to turn to the east and north.
        rates: Channels that accumulate; see :class:`phire.fields.deaccumulation.RateSource`.
        units: Units to convert channels to.
        aggregation: Periods and statistics.
        interval_end: Channels whose times end their interval.
        grid: The grid to bring all to, or words for it; see
            :func:`phire.fields.grid_specification.target_grid`.
        method: Of regridding.
        least_valid: Least share of the weights, 0 to 1, on valid values.
        weights: File or folder of weights; see
            :func:`phire.fields.regridding_weights.kept_weights`.
    """

    variables: Mapping[str, str] | None = None
    wind: tuple[str, str] | None = None
    turn_wind: tuple[str, str] | None = None
    rates: Mapping[str, int | None] = dataclasses.field(default_factory=dict)
    units: Mapping[str, str] = dataclasses.field(default_factory=dict)
    aggregation: Aggregation | None = None
    interval_end: Sequence[str] = ()
    grid: Grid | str | None = None
    method: str = "conservative"
    least_valid: float = 0.5
    weights: str | os.PathLike | None = None

    @property
    def wanted(self) -> list[str] | None:
        """The variables to read; None for all."""
        wanted = None if self.variables is None else list(self.variables.values())
        if self.wind is not None:
            wanted = list(dict.fromkeys((*self.wind, *(wanted or ()))))
        return wanted


def assemble(parts: Sequence[Part], recipe: Recipe) -> tuple[Source, list[str], list[RateSource]]:
    """Brings the channels of files together on one grid, at the times that all of them have.

    Args:
        parts: The files.
        recipe: The steps that each group of channels on one grid and at the same times takes.

    Returns:
        The source, which closes its files; notes on what is left out, a sentence each; and the
        sources of rates.

    Raises:
        InputError: A step cannot be done, or the sources have no time in common.
    """
    groups = collect_groups(parts, recipe.wanted)
    _check_wind(groups, recipe.wind)
    notes: list[str] = []
    rates: list[RateSource] = []
    made, names = [], []
    target = recipe.grid
    for group in groups:
        name = _name(group)
        if isinstance(target, str):
            target = target_grid(target, group.grid)
        source = _with_steps(group, recipe, name, notes, rates)
        if target is not None and not source.grid.equals(target):
            if shared_columns(source.grid, target) is not None:
                source = TurnedSource(source, target)
            else:
                source = _regridded(source, target, recipe, name)
        made.append(source)
        names.append(name)
    merged = MergedSource(made, names)
    _check_names(merged.channels, recipe)
    notes += merged.notes()
    return in_order(merged, _channel_order(merged.channels, recipe)), notes, rates


def _with_steps(
    group: CollectedSource, recipe: Recipe, name: str, notes: list[str], found: list[RateSource]
) -> Source:
    """Returns a group's channels under their new names, as rates, in other units and aggregated.

    Args:
        group: The group.
        recipe: The steps.
        name: What messages call it.
        notes: List to which sentences on what is left out are added.
        found: List to which a source of rates is added.
    """
    source: Source = group
    named = recipe.variables
    if named is not None:
        named = {new: old for new, old in named.items() if old in group.channels}
    if recipe.wind is not None and recipe.wind[0] in group.channels:
        source = WindSource(group, tuple(recipe.wind), kept=list((named or {}).values()))
        if not group.grid.is_sphere:
            progress.say("The grid is not global: divergence and vorticity are finite differences.")
        names = (*DERIVED, *(named or {}))
        source = ChannelSelection(source, source.channels, names=names)
    elif named is not None:
        source = ChannelSelection(source, list(named.values()), names=list(named))
    if recipe.turn_wind is not None and set(recipe.turn_wind) & set(source.channels):
        source = EastwardWind(source, recipe.turn_wind)
    if recipe.grid is not None and unturned_note(source, name):
        notes.append(unturned_note(source, name))
    rates = {c: reset for c, reset in recipe.rates.items() if c in source.channels}
    if rates:
        source = RateSource(source, rates, name=name)
        found.append(source)
        if source.left_out:
            verb = "is" if source.left_out == 1 else "are"
            count = value_text.counted(source.left_out, "field")
            notes.append(f"{count} of {name} {verb} left out: no interval of time ends there")
    converted = {c: unit for c, unit in recipe.units.items() if c in source.channels}
    if converted:
        source = ConvertedUnits(source, converted, name=name)
    if recipe.aggregation is not None:
        _check_sums(recipe.aggregation, rates)
        ends = (*recipe.interval_end, *rates)
        source = AggregatedSource(source, recipe.aggregation, interval_end=ends, name=name)
        if source.note():
            notes.append(f"of {name}, {source.note()}")
    return source


def _regridded(source: Source, target: Grid, recipe: Recipe, name: str) -> Source:
    try:
        made = RegriddedSource(
            source, target, recipe.method, least_valid=recipe.least_valid, weights=recipe.weights
        )
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    note_outside(made.regridder)
    return made


def _check_wind(groups: Sequence[CollectedSource], wind: Sequence[str] | None) -> None:
    for group in groups if wind is not None else ():
        if (wind[0] in group.channels) != (wind[1] in group.channels):
            raise InputError(
                f"--wind {','.join(wind)}: both components must lie on one grid and have the same "
                f"times, but only one of them is in {_name(group)}."
            )


def _check_sums(aggregation: Aggregation, rates: Iterable[str]) -> None:
    """Refuses sums of rates, whose unit would be wrong."""
    for channel in rates:
        if aggregation.statistic_of(channel) == "sum":
            raise InputError(
                f"--every {aggregation.period}:sum: {channel} is a rate after --deaccumulate, and "
                f"sums are for amounts: take its mean ({channel}=mean)."
            )


def _check_names(channels: Sequence[str], recipe: Recipe) -> None:
    """Refuses channels that an option names but no source has, and names that occur twice."""
    repeated = [channel for channel in channels if list(channels).count(channel) > 1]
    if repeated:
        raise InputError(f"two channels are called {repeated[0]}: rename one, NAME={repeated[0]}.")
    named = {
        "--turn-wind": recipe.turn_wind or (),
        "--deaccumulate": recipe.rates,
        "--units": recipe.units,
        "--every": recipe.aggregation.channels if recipe.aggregation else (),
        "--interval-end": recipe.interval_end,
    }
    for option, names in named.items():
        for name in names:
            if name not in channels:
                raise InputError(
                    f"{option} {name}: there is no such channel; there are {', '.join(channels)}."
                )


def _channel_order(channels: Sequence[str], recipe: Recipe) -> list[str]:
    """Orders channels: divergence and vorticity, then the others as requested."""
    first = list(DERIVED) if recipe.wind is not None else []
    order = [*first, *(recipe.variables or ())]
    return [*order, *(channel for channel in channels if channel not in order)]


def _name(group: CollectedSource) -> str:
    """Returns a name of a group of files for messages."""
    first = group.parts[0].name
    return first if len(group.parts) == 1 else f"{first} … ({len(group.parts)} files)"
