"""Expansion of a pipeline into stages: points of sweeps, resolved references, order of the graph.

Terms: an *entry* is a key under ``stages`` in the file. A *point* gives one label for each axis of
the sweep that an entry depends on. An entry at one point is a *stage*.
"""

from __future__ import annotations

import dataclasses
import graphlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from phire.errors import InputError
from phire.pipeline.commands import SUFFIXES, command_line
from phire.pipeline.configuration import Pipeline, references, resolved

_SEVERAL = re.compile(r"([^${}=]*)\$\{(named|paths):([A-Za-z_][\w-]*)\}")
_NOT_IN_FILE_NAMES = re.compile(r"[^\w.-]+")


@dataclasses.dataclass(frozen=True)
class Stage:
    """One command to run: an entry of the pipeline file at one point of the sweep.

    Attributes:
        name: Entry and point, such as ``generator_seed-0``.
        entry: Key in the pipeline file.
        point: Labels by axis, for the axes that the stage depends on.
        command: The console command, such as ``phire convert``.
        words: Words of the command line after the command.
        options: Texts of each argument and option, by name.
        output: Path of the output.
        needs: Outputs of other stages that this one reads, by name of the stage.
    """

    name: str
    entry: str
    point: Mapping[str, str]
    command: str
    words: Sequence[str]
    options: Mapping[str, Sequence[str]]
    output: Path
    needs: Mapping[str, Path]

    @property
    def command_line(self) -> list[str]:
        """Words of the whole command line."""
        return [*self.command.split(), *self.words]


def expand(pipeline: Pipeline) -> dict[str, Stage]:
    """Returns the stages of a pipeline at all points of its sweep, each after those it needs.

    A stage varies along the axes that it refers to, and along the axes of the stages that it needs.
    ``${NAME}`` of another stage is the path of its output at the same point. ``${paths:NAME}`` and
    ``${named:NAME}``, as items of a list, stand for its outputs at all points that agree with this
    stage's point: ``paths`` gives the paths, ``named`` gives ``LABEL=path``. A text before them,
    as in ``flow ${named:ensemble}``, is put before each.

    Raises:
        InputError: A reference or an option is wrong, two stages write the same output, or stages
            need one another in a circle.
    """
    graph = {name: set(_needed(pipeline, stage)) for name, stage in pipeline.stages.items()}
    try:
        order = list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
        raise InputError(
            f"{pipeline.path}: stages need one another ({circle}): remove one of the references."
        ) from None
    expanded: dict[str, list[Stage]] = {}
    for name in order:
        points = _points(pipeline, name, expanded)
        expanded[name] = [_stage(pipeline, name, point, expanded) for point in points]
    stages = [stage for name in order for stage in expanded[name]]
    by_output: dict[Path, str] = {}
    for stage in stages:
        other = by_output.setdefault(stage.output, stage.name)
        if other != stage.name:
            raise InputError(
                f"{pipeline.path}: {stage.name} and {other} write the same output, {stage.output}: "
                "name another output for one of them."
            )
    return {stage.name: stage for stage in stages}


def with_needs(stages: Mapping[str, Stage], only: Sequence[str]) -> dict[str, Stage]:
    """Returns chosen stages and all that they need, in the order of ``stages``.

    Args:
        stages: All stages of a pipeline, each after those it needs.
        only: Names of stages, such as ``generator_seed-1``, or of entries, which stand for the
            stages at all points; empty for all stages.

    Raises:
        InputError: A name of ``only`` is unknown.
    """
    if not only:
        return dict(stages)
    known = {name for stage in stages.values() for name in (stage.name, stage.entry)}
    for name in only:
        if name not in known:
            entries = dict.fromkeys(stage.entry for stage in stages.values())
            raise InputError(f"--only {name} is not a stage: choose among {', '.join(entries)}.")
    chosen: set[str] = set()
    for name, stage in reversed(stages.items()):  # a stage comes after those it needs
        if {name, stage.entry} & {*only, *chosen}:
            chosen |= {name, *stage.needs}
    return {name: stage for name, stage in stages.items() if name in chosen}


def _needed(pipeline: Pipeline, value: Any, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yields the entries that a value refers to, also through variables and values of axes."""
    for name in references(value):
        if name in pipeline.stages:
            yield name
        elif name not in seen and name in pipeline.variables:
            yield from _needed(pipeline, pipeline.variables[name], seen | {name})
        elif name not in seen and name in pipeline.sweep:
            values = list(pipeline.sweep[name].values.values())
            yield from _needed(pipeline, values, seen | {name})


def _referred(
    pipeline: Pipeline, value: Any, point: Mapping[str, str], seen: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Yields the entries and axes that a value refers to, also through variables.

    For an axis in ``point``, the references of its value at that point are yielded, too.
    """
    for name in references(value):
        if name in seen:
            continue
        if name in pipeline.variables:
            yield from _referred(pipeline, pipeline.variables[name], point, seen | {name})
            continue
        yield name
        if name in pipeline.sweep and name in point:
            chosen = pipeline.sweep[name].values[point[name]]
            yield from _referred(pipeline, chosen, point, seen | {name})


def _collected(pipeline: Pipeline, stage: Any) -> set[str]:
    """Returns the entries that an entry refers to by ``${named:…}`` or ``${paths:…}``."""
    texts = [item for value in stage.values() if isinstance(value, list) for item in value]
    texts += [value for value in stage.values() if not isinstance(value, list)]
    matches = [_SEVERAL.fullmatch(text) for text in texts if isinstance(text, str)]
    return {match[3] for match in matches if match}


def _points(
    pipeline: Pipeline, name: str, expanded: Mapping[str, Sequence[Stage]]
) -> list[dict[str, str]]:
    """Returns the points of the sweep at which an entry is run.

    Args:
        pipeline: The pipeline.
        name: The entry.
        expanded: Stages of the entries that it needs.
    """
    stage = pipeline.stages[name]
    collected = _collected(pipeline, stage)
    points: list[dict[str, str]] = [{}]
    finished: list[dict[str, str]] = []
    # Fixing one axis may select a value that refers to further axes or stages, so each point is
    # extended axis by axis until no reference leads to an axis that it lacks.
    while points:
        point = points.pop(0)
        names = dict.fromkeys(_referred(pipeline, stage, point))
        axis = next((n for n in names if n in pipeline.sweep and n not in point), None)
        if axis is not None:
            points += [{**point, axis: label} for label in pipeline.sweep[axis].values]
            continue
        further = [point]
        for needed in names:
            if needed in expanded and needed not in collected:
                further = [
                    {**p, **source.point}
                    for p in further
                    for source in expanded[needed]
                    if _fits(source.point, p)
                ]
        finished += [p for p in further if p not in finished]
    return [
        {axis: point[axis] for axis in pipeline.sweep if axis in point}  # in the file's order
        for point in finished
    ]


def _fits(point: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Returns True if two points have the same label on every axis that both have."""
    return all(other.get(axis, label) == label for axis, label in point.items())


def _stage(
    pipeline: Pipeline,
    entry: str,
    point: Mapping[str, str],
    expanded: Mapping[str, Sequence[Stage]],
) -> Stage:
    """Returns the stage of an entry at a point, with its references resolved."""
    content = dict(pipeline.stages[entry])
    place = f"{pipeline.path}: stages.{entry}"
    names = {
        "directory": str(pipeline.directory),
        **pipeline.variables,
        **{axis: pipeline.sweep[axis].values[label] for axis, label in point.items()},
    }
    needs: dict[str, Path] = {}
    collected = _collected(pipeline, content)
    for needed in dict.fromkeys(_referred(pipeline, content, point)):
        if needed in expanded and needed not in collected:
            (source,) = (s for s in expanded[needed] if _subset(s.point, point))
            names[needed] = str(source.output)
            needs[source.name] = source.output
    for key, value in content.items():
        whole = isinstance(value, str) and _SEVERAL.fullmatch(value)
        if whole or isinstance(value, list):
            content[key] = list(
                _with_points([value] if whole else value, pipeline, point, expanded, needs)
            )
    content = resolved(content, names, place)
    command, output = content.pop("command"), content.pop("output", None)
    if output is None:
        output = entry + SUFFIXES.get(command, "")
    suffix = Path(str(output)).suffix
    name = _name(entry, point)
    path = pipeline.directory / (str(output).removesuffix(suffix) + _name("", point) + suffix)
    try:
        words, options = command_line(command, content, str(path))
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    return Stage(name, entry, dict(point), command, words, options, path, needs)


def _subset(point: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Returns True if ``other`` has every axis of ``point``, with the same label."""
    return all(other.get(axis) == label for axis, label in point.items())


def _with_points(
    items: Sequence[Any],
    pipeline: Pipeline,
    point: Mapping[str, str],
    expanded: Mapping[str, Sequence[Stage]],
    needs: dict[str, Path],
) -> Iterator[Any]:
    """Yields the items of a list, with ``${paths:…}`` and ``${named:…}`` replaced by outputs.

    Adds the stages of these outputs to ``needs``.
    """
    for item in items:
        match = _SEVERAL.fullmatch(item) if isinstance(item, str) else None
        if match is None or match[3] not in expanded:
            yield item
            continue
        before, kind, name = match.groups()
        for source in expanded[name]:
            if _fits(source.point, point):
                needs[source.name] = source.output
                label = "" if kind == "paths" else _label(pipeline, source, point) + "="
                yield f"{before}{label}{source.output}"


def _label(pipeline: Pipeline, source: Stage, point: Mapping[str, str]) -> str:
    """Returns a label for people, from the axes of a stage that are not in ``point``."""
    words = [
        label if pipeline.sweep[axis].labelled else f"{axis} {label}"
        for axis, label in source.point.items()
        if axis not in point
    ]
    return " ".join(words) or source.entry


def _name(entry: str, point: Mapping[str, str]) -> str:
    parts = [f"{axis}-{_NOT_IN_FILE_NAMES.sub('-', label)}" for axis, label in point.items()]
    return "_".join([entry, *parts]) if parts else entry
