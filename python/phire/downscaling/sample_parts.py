"""Parts of a sample: a source for every channel that a trained generator reads."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
import xarray as xr

from phire.downscaling.trained_generator import TrainedGenerator
from phire.errors import InputError
from phire.fields import units
from phire.fields.ensemble import as_source
from phire.fields.grid import Grid
from phire.fields.source import Source
from phire.fields.time import TimeAxis
from phire.records.input_files import InputFile, common_times, split_names
from phire.records.station_gridding import PREFIX

Given = str | os.PathLike | xr.Dataset | Source


@dataclasses.dataclass(frozen=True)
class Part:
    """A source of some channels, with the name that messages give it.

    Attributes:
        source: The source.
        name: What it is called.
        wanted: Its channels that are read, in the order of the source.
    """

    source: Source
    name: str
    wanted: tuple[str, ...]

    channels = property(lambda self: self.wanted)
    grid = property(lambda self: self.source.grid)
    time = property(lambda self: self.source.time)
    path = property(lambda self: self.name)

    def __str__(self) -> str:
        return self.name

    def read(self, times: Sequence[int]) -> np.ndarray:
        """Reads the wanted channels; see :class:`phire.fields.source.Source`."""
        places = [self.source.channels.index(name) for name in self.wanted]
        return self.source.read(times)[..., places]


@dataclasses.dataclass(frozen=True)
class Further:
    """Inputs beside the coarse source, each a file ``FILE[:NAMES]`` or xarray.

    Attributes:
        predictors: Coarse fields.
        static: Maps on the fine grid.
        auxiliary: Predictors in time on the fine grid.
        stations: CSV of observations.
    """

    predictors: Sequence[Given] = ()
    static: Sequence[Given] = ()
    auxiliary: Sequence[Given] = ()
    stations: str | os.PathLike | None = None


def find_parts(
    generator: TrainedGenerator, array: str, first: Part | None, given: Sequence[Given],
    option: str, time: TimeAxis,
) -> list[Part]:  # fmt: skip
    """Finds a source for every channel of an array.

    A channel comes from what is given, else from ``first``, else from the file that the records
    were made of.

    Args:
        generator: The trained generator.
        array: ``low`` or ``auxiliary``.
        first: The main input, where it may hold channels of the array.
        given: Further inputs of the user.
        option: What the user gives them by, for messages.
        time: The times asked for.

    Raises:
        InputError: A channel is found nowhere, has other units, or lacks one of the times.
    """
    schema = generator.schema.arrays[array]
    lacking = [name for name in schema.channels if not name.startswith(PREFIX)]
    parts: list[Part] = []

    def take(source: Source, name: str, named: bool = False) -> bool:
        nonlocal lacking
        foreign = [c for c in source.channels if c not in schema.channels]
        found = tuple(c for c in source.channels if c in lacking)
        if named and (foreign or not found):
            raise InputError(
                f"{name} gives {', '.join(source.channels)}; {generator.path} reads "
                f"{', '.join(schema.channels)}: name these, each once, as FILE:NAMES."
            )
        if found:
            parts.append(_checked(Part(source, name, found), generator, array, time))
            lacking = [c for c in lacking if c not in found]
        return bool(found)

    for one in given:
        source, name, named = _opened(one, option)
        if not take(source, name, named):
            raise InputError(
                f"{name} has none of the channels that {generator.path} reads "
                f"({', '.join(schema.channels)})."
            )
    if first is not None:
        take(first.source, first.name)
    options = ("low", "predictors") if array == "low" else (array,)
    for recorded in [text for name in options for text in generator.inputs.get(name) or ()]:
        held = split_names(recorded)[1]
        if not lacking or (held is not None and not {*held} & {*lacking}):
            continue
        try:
            take(InputFile(recorded), f"{split_names(recorded)[0]}, of {generator.path}'s records,")
        except InputError as error:
            raise InputError(f"{str(error).rstrip('.')}; give others by {option}.") from None
    if lacking:
        held = "" if first is None else f" and {first.name} lacks"
        raise InputError(
            f"{generator.path} reads {', '.join(lacking)}, which nothing gives{held}: give "
            f"{option} FILE:{','.join(lacking)}."
        )
    return parts


def _opened(one: Given, option: str) -> tuple[Source, str, bool]:
    """Returns a source, its name, and whether the user named its channels."""
    if isinstance(one, (str, os.PathLike)):
        file = InputFile(one, option)
        return file, str(file), split_names(one)[1] is not None
    return as_source(one, name=f"the dataset of {option}"), f"the dataset of {option}", False


def _checked(part: Part, generator: TrainedGenerator, array: str, time: TimeAxis) -> Part:
    """Returns the part, whose units are those of the run and which has all times."""
    schema = generator.schema.arrays[array]
    has = [part.source.units[part.source.channels.index(name)] for name in part.wanted]
    wanted = [schema.units[schema.channels.index(name)] for name in part.wanted]
    found = units.difference(part.wanted, has, wanted)
    if found:
        raise InputError(
            f"{part.name} holds {found} as {generator.path} was trained on: convert the units "
            "first."
        )
    indices_of_times(part, time)
    return part


@dataclasses.dataclass(frozen=True)
class Asked:
    """Fine fields to predict, as matching names them.

    Attributes:
        grid: Their grid; None where only the times are asked for.
        time: Their times.
        path: What messages call them.
    """

    grid: Grid | None
    time: TimeAxis
    path: str


def indices_of_times(part: Part, time: TimeAxis) -> np.ndarray:
    """Returns the index (n,) of the part's field for each requested time.

    Raises:
        InputError: It lacks one.
    """
    if part.time is time:
        return np.arange(len(time))
    found = common_times(part, Asked(None, time, "the times asked for"))
    if (found < 0).any():
        lacking = np.flatnonzero(found < 0)
        raise InputError(
            f"{part.name} lacks {len(lacking)} of the {len(time)} times asked for (the first is "
            f"{time.format(int(lacking[0]))}): choose others by --time, or give a file that has "
            "them."
        )
    return found


def is_bound(generator: TrainedGenerator, parts: Sequence[Part], first: Part) -> bool:
    """Returns True if a prediction needs more than one coarse field, or the run's own points.

    Maps, covariates and a window are more; a localized layer and statistics of points have points.
    """
    alone = len(parts) == 1 and parts[0].source is first.source
    arrays = {"static", "auxiliary", "time"} & {*generator.network.input}
    windowed = generator.schema.window is not None
    placed = generator.localized or generator.arrays.has_statistics_of_points
    return not alone or bool(arrays) or windowed or placed
