"""Records of started and finished stages: the options and inputs of each output."""

from __future__ import annotations

import dataclasses
import datetime
import glob
import json
import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phire import existing_outputs, files, provenance
from phire.pipeline.stages import Stage

FOLDER = ".stages"
"""Folder of the records within the pipeline's directory."""
DONE, NEW, CHANGED = "done", "to run", "changed"


@dataclasses.dataclass(frozen=True)
class Planned:
    """Stage with its state before a run.

    Attributes:
        stage: The stage.
        state: ``done``; ``to run``; or ``changed`` if its output was made with other options or
            from other inputs.
        reason: Difference that makes a stage ``changed``, in words.
    """

    stage: Stage
    state: str
    reason: str = ""


def plan(directory: Path, stages: Mapping[str, Stage]) -> dict[str, Planned]:
    """Returns the state of each stage by comparing it with its record.

    Args:
        directory: Directory of the pipeline.
        stages: Stages by name, each after those that it needs.
    """
    planned: dict[str, Planned] = {}
    for name, stage in stages.items():
        record = read(directory, name)
        if record is None:
            planned[name] = Planned(stage, NEW)
            continue
        reason = _difference(directory, stage, record, planned)
        if not reason and record["finished"] and stage.output.exists():
            planned[name] = Planned(stage, DONE)
        else:
            planned[name] = Planned(stage, CHANGED if reason else NEW, reason)
    return planned


def read(directory: Path, name: str) -> dict[str, Any] | None:
    """Returns the record of a stage; None if it was never started or its record is damaged."""
    try:
        return json.loads(_path(directory, name).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def write(
    directory: Path, stage: Stage, *, finished: bool, overwrites: bool, seconds: float = 0.0
) -> None:
    """Writes the record of a stage that starts or has finished.

    Args:
        directory: Directory of the pipeline.
        stage: The stage.
        finished: True after its command succeeded, False before it starts.
        overwrites: True while the command replaces an output made with other options.
        seconds: Duration of the command.
    """
    record = {
        "command": stage.command,
        "options": stage.options,
        "inputs": _inputs(stage),
        "needs": {name: _run_identifier(directory, name) for name in stage.needs},
        "finished": finished,
        "overwrites": overwrites,
        "made": uuid.uuid4().hex,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
    }
    files.write_json(_path(directory, stage.name), record)


def restore(directory: Path, name: str, record: Mapping[str, Any] | None) -> None:
    """Restores the record of a stage whose command refused to run.

    Args:
        directory: Directory of the pipeline.
        name: Name of the stage.
        record: Its earlier record; None removes the present one.
    """
    path = _path(directory, name)
    if record is None:
        path.unlink(missing_ok=True)
    else:
        files.write_json(path, record)


def _path(directory: Path, name: str) -> Path:
    return directory / FOLDER / f"{name}.json"


def _run_identifier(directory: Path, name: str) -> str | None:
    """Returns the identifier of a stage's last run, None if it was never started."""
    record = read(directory, name)
    return None if record is None else record["made"]


def _difference(
    directory: Path, stage: Stage, record: Mapping[str, Any], planned: Mapping[str, Planned]
) -> str:
    """Returns the reason why a recorded stage has to be run again, empty if there is no reason."""
    if record["command"] != stage.command:
        return f"command was {record['command']}, now {stage.command}"
    found = existing_outputs.differences(_joined(record["options"]), _joined(stage.options))
    if found:
        return "; ".join(found)
    for name in stage.needs:
        same_run = record["needs"].get(name) == _run_identifier(directory, name)
        if planned[name].state != DONE or not same_run:
            return f"{name} is run again"
    inputs = _inputs(stage)
    for path, fingerprint in record["inputs"].items():
        if inputs.get(path, fingerprint) != fingerprint:
            return f"the content of {path} has changed"
    return ""


def _joined(options: Mapping[str, Any]) -> dict[str, str]:
    return {name: " ".join(texts) for name, texts in options.items()}


def _inputs(stage: Stage) -> dict[str, str]:
    """Returns the fingerprints, by path, of the files that a stage reads and no stage writes."""
    # An option's value may be a path or a glob pattern, NAME=PATH, or a list of these.
    texts = [text for texts in stage.options.values() for text in texts]
    pieces = {piece for text in texts for piece in (text, *re.split(r"[=,:\s]", text)) if piece}
    paths = {path for piece in pieces for path in glob.glob(piece)}
    return {
        path: provenance.fingerprint(path)
        for path in sorted(paths)
        if Path(path).is_file() and not _is_output(path, stage)
    }


def _is_output(path: str, stage: Stage) -> bool:
    outputs = [stage.output.absolute(), *(output.absolute() for output in stage.needs.values())]
    absolute = Path(os.path.abspath(path))
    return any(output in (absolute, *absolute.parents) for output in outputs)
