"""Assignment of a source to every channel that a trained generator reads."""

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
from phire.fields.time_axis import TimeAxis
from phire.records.input_files import InputFile, common_times, split_names
from phire.records.station_gridding import PREFIX

Given = str | os.PathLike | xr.Dataset | Source


@dataclasses.dataclass(frozen=True)
class Part:
    """Selected channels of a source, with the source's name in messages.

    Attributes:
        source: Source of fields.
        name: Name in messages.
        wanted: Channels to read, in the order of the source.
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
        """Reads the wanted channels, (n, H, W, C)."""
        columns = [self.source.channels.index(name) for name in self.wanted]
        return self.source.read(times)[..., columns]


@dataclasses.dataclass(frozen=True)
class Further:
    """Inputs in addition to the main coarse source, as files ``FILE[:NAMES]`` or xarray datasets.

    Attributes:
        predictors: Further coarse fields.
        static: Maps on the fine grid.
        auxiliary: Predictors in time on the fine grid.
        stations: CSV file of station observations; None for that of the records.
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

    Sources are searched in this order: ``given``, ``first``, the files from which the records were
    made.

    Args:
        generator: Trained generator.
        array: Name of the array, ``low`` or ``auxiliary``.
        first: Main input; None if it does not hold channels of the array.
        given: Further inputs of the user.
        option: Option by which the user gives them, for messages.
        time: Times to predict.

    Raises:
        InputError: A channel is in none of the sources, has other units, or lacks a time.
    """
    schema = generator.schema.arrays[array]
    lacking = [name for name in schema.channels if not name.startswith(PREFIX)]
    parts: list[Part] = []

    def add(source: Source, name: str, named: bool = False) -> bool:
        """Assigns a source to the missing channels that it holds; returns False if it has none."""
        nonlocal lacking
        foreign = [c for c in source.channels if c not in schema.channels]
        found = tuple(c for c in source.channels if c in lacking)
        if named and (foreign or not found):
            raise InputError(
                f"{name} gives {', '.join(source.channels)}, but {generator.path} reads "
                f"{', '.join(schema.channels)}: name these, each once, as FILE:NAMES."
            )
        if found:
            parts.append(_check_part(Part(source, name, found), generator, array, time))
            lacking = [c for c in lacking if c not in found]
        return bool(found)

    for one in given:
        source, name, named = _open_input(one, option)
        if not add(source, name, named):
            raise InputError(
                f"{name} has none of the channels that {generator.path} reads "
                f"({', '.join(schema.channels)}): leave it out."
            )
    if first is not None:
        add(first.source, first.name)
    options = ("low", "predictors") if array == "low" else (array,)
    for recorded in [text for name in options for text in generator.inputs.get(name) or ()]:
        held = split_names(recorded)[1]
        if not lacking or (held is not None and not {*held} & {*lacking}):
            continue
        try:
            add(InputFile(recorded), f"{split_names(recorded)[0]}, of {generator.path}'s records,")
        except InputError as error:
            raise InputError(f"{str(error).rstrip('.')}; give another file by {option}.") from None
    if lacking:
        also = "" if first is None else f" and {first.name} lacks"
        raise InputError(
            f"{generator.path} reads {', '.join(lacking)}, which no input gives{also}: give "
            f"{option} FILE:{','.join(lacking)}."
        )
    return parts


def _open_input(one: Given, option: str) -> tuple[Source, str, bool]:
    """Opens an input; returns the source, its name, and True if the user named its channels."""
    if isinstance(one, (str, os.PathLike)):
        file = InputFile(one, option)
        return file, str(file), split_names(one)[1] is not None
    return as_source(one, name=f"the dataset of {option}"), f"the dataset of {option}", False


def _check_part(part: Part, generator: TrainedGenerator, array: str, time: TimeAxis) -> Part:
    """Returns the part unchanged if its units fit the run and it has all times.

    Raises:
        InputError: Units differ, or a time is missing.
    """
    schema = generator.schema.arrays[array]
    has = [part.source.units[part.source.channels.index(name)] for name in part.wanted]
    wanted = [schema.units[schema.channels.index(name)] for name in part.wanted]
    found = units.difference(part.wanted, has, wanted)
    if found:
        raise InputError(
            f"{part.name} holds {found} as in the training data of {generator.path}: convert the "
            "units first."
        )
    indices_of_times(part, time)
    return part


@dataclasses.dataclass(frozen=True)
class Asked:
    """Grid and times of a prediction, in the form that the matching functions of records take.

    Attributes:
        grid: Fine grid; None if only times are matched.
        time: Times to predict.
        path: Name in messages.
    """

    grid: Grid | None
    time: TimeAxis
    path: str


def indices_of_times(part: Part, time: TimeAxis) -> np.ndarray:
    """Returns the indices of a part's fields at the given times, (n,).

    Raises:
        InputError: The part lacks one of the times.
    """
    if part.time is time:
        return np.arange(len(time))
    found = common_times(part, Asked(None, time, "the times asked for"))
    if (found < 0).any():
        lacking = np.flatnonzero(found < 0)
        raise InputError(
            f"{part.name} lacks {len(lacking)} of the {len(time)} times asked for (the first is "
            f"{time.format(int(lacking[0]))}): choose other times by --time, or give a file with "
            "these times."
        )
    return found


def is_bound(generator: TrainedGenerator, parts: Sequence[Part], first: Part) -> bool:
    """Returns True if a prediction is bound to the run's domain or to several matched inputs.

    This holds if the generator reads several coarse files, maps, covariates, the whole coarse field
    as context or a time window, or if it has weights or statistics for each point of the domain.
    Otherwise a single coarse field can be refined at any place.
    """
    alone = len(parts) == 1 and parts[0].source is first.source
    arrays = {"static", "auxiliary", "time", "context"} & {*generator.network.input}
    windowed = generator.schema.window is not None
    pointwise = generator.localized or generator.arrays.has_statistics_of_points
    return not alone or bool(arrays) or windowed or pointwise
