"""Reading of pipeline files: YAML with ``${…}`` interpolation, resolved by OmegaConf."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from phire.errors import InputError

KEYS = ("directory", "variables", "sweep", "stages")
"""Keys of a pipeline file."""
_NAME = re.compile(r"[A-Za-z_][\w-]*")
_LABEL = re.compile(r"[^\W_][\w .+-]*")
_REFERENCE = re.compile(r"\$\{(?:(?:named|paths):)?([A-Za-z_][\w-]*)")


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis of a sweep.

    Attributes:
        values: Values by label, in the order of the file.
        labelled: True if the file gives the labels; otherwise the values as text are the labels.
    """

    values: Mapping[str, Any]
    labelled: bool


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Content of a pipeline file, with unresolved interpolations.

    Attributes:
        path: The file.
        directory: Directory of all outputs, logs and records.
        variables: Values that stages refer to by name.
        sweep: Axes that stages refer to by name.
        stages: Options of each stage, with the key ``command``.
    """

    path: Path
    directory: Path
    variables: Mapping[str, Any]
    sweep: Mapping[str, Axis]
    stages: Mapping[str, Mapping[str, Any]]


def read_pipeline(path: str | os.PathLike, overrides: Sequence[str] = ()) -> Pipeline:
    """Reads a pipeline file.

    Args:
        path: The YAML file.
        overrides: Entries to replace, ``a.b=value``, where the value is YAML.

    Raises:
        InputError: The file cannot be read, or an entry is wrong; the message names it.
    """
    path = Path(path)
    try:
        tree = OmegaConf.load(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; name a pipeline file.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f", line {mark.line + 1}"
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise InputError(f"{path}{line} is not YAML: {problem}.") from None
    if not OmegaConf.is_dict(tree):
        raise InputError(f"{path} must be a mapping with the keys {', '.join(KEYS)}.")
    for override in overrides:
        _override(tree, override)
    content = OmegaConf.to_container(tree, resolve=False)
    unknown = [str(key) for key in content if key not in KEYS]
    if unknown:
        raise InputError(f"{path}: unknown key {unknown[0]!r}; the keys are {', '.join(KEYS)}.")
    for key in KEYS[1:]:
        if not isinstance(content.get(key) or {}, dict):
            raise InputError(f"{path}: {key} must be a mapping of names.")
    pipeline = Pipeline(
        path=path,
        directory=Path(str(content.get("directory") or path.stem)),
        variables=content.get("variables") or {},
        sweep={
            str(name): _axis(path, name, values)
            for name, values in (content.get("sweep") or {}).items()
        },
        stages=content.get("stages") or {},
    )
    _check_names(pipeline)
    return pipeline


def references(value: Any) -> Iterator[str]:
    """Yields the names that a value refers to by ``${NAME}``, ``${named:…}`` or ``${paths:…}``."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from references(item)
    elif isinstance(value, str):
        yield from _REFERENCE.findall(value)


def resolved(value: Any, names: Mapping[str, Any], place: str) -> Any:
    """Returns a value with its interpolations resolved.

    Args:
        value: Text, list or mapping, with ``${NAME}`` in its texts.
        names: Values by name; they may refer to one another.
        place: Position in the pipeline file, for the message.

    Raises:
        InputError: A name is unknown, or names refer to one another in a circle.
    """
    # The empty key cannot collide with a name.
    tree = OmegaConf.create({**names, "": value})
    try:
        if OmegaConf.is_config(tree[""]):
            return OmegaConf.to_container(tree[""], resolve=True)
        return tree[""]
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{place}: {reason}; the names are {', '.join(sorted(names)) or '(none)'}."
        ) from None


def _override(tree: Any, override: str) -> None:
    """Replaces one entry of a pipeline file, ``a.b=value``.

    Raises:
        InputError: The override has another form, or the file has no such entry.
    """
    key, equals, text = override.partition("=")
    parent, _, last = key.rpartition(".")
    if not (equals and last):
        raise InputError(f"--set {override!r} is not of the form a.b=value.")
    above = tree if not parent else OmegaConf.select(tree, parent)
    # A new name at these levels can only be a typing mistake; new options of a stage are allowed.
    fixed = not parent or parent in ("variables", "stages", "sweep")
    if not OmegaConf.is_config(above) or (fixed and last not in above and key not in KEYS):
        raise InputError(f"--set {override!r}: the pipeline has no {key}.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"--set {override!r}: {text!r} is not a YAML value.") from None
    OmegaConf.update(tree, key, value, merge=False)


def _axis(path: Path, name: str, values: Any) -> Axis:
    if isinstance(values, dict):
        axis = Axis({str(label): value for label, value in values.items()}, labelled=True)
    elif isinstance(values, list):
        axis = Axis({str(value): value for value in values}, labelled=False)
    else:
        raise InputError(f"{path}: sweep.{name} must be a list, or a mapping of labels to values.")
    # Equal labels have collapsed to one: their stages would write the same outputs.
    if not axis.values or len(axis.values) < len(values):
        raise InputError(f"{path}: sweep.{name} must have at least one value, and none twice.")
    for label in axis.values:
        if not _LABEL.fullmatch(label):
            raise InputError(
                f"{path}: sweep.{name} has the value {label!r}, which cannot be part of a file "
                "name: give labels, as a mapping LABEL: VALUE."
            )
    return axis


def _check_names(pipeline: Pipeline) -> None:
    """Checks that all names are valid and different, and that each stage has a command.

    Raises:
        InputError: A name or a stage is not valid, or there is no stage.
    """
    if not pipeline.stages:
        raise InputError(f"{pipeline.path} has no stages: add the key stages.")
    seen = {"directory": "a key"}
    groups = (("variables", pipeline.variables), ("sweep", pipeline.sweep))
    for group, names in (*groups, ("stages", pipeline.stages)):
        for name in names:
            if not _NAME.fullmatch(str(name)):
                raise InputError(
                    f"{pipeline.path}: {group}.{name} must be a name of letters, digits, _ and -."
                )
            if name in seen:
                raise InputError(
                    f"{pipeline.path}: {group}.{name} is the name of {seen[name]}, too: rename one."
                )
            seen[name] = f"one of {group}"
    for name, stage in pipeline.stages.items():
        if not (isinstance(stage, dict) and isinstance(stage.get("command"), str)):
            raise InputError(
                f"{pipeline.path}: stages.{name} must be a mapping with the key command."
            )
