"""Folder of an evaluation: the options that made it, and its finished results."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from phire import files, progress, provenance
from phire.evaluation.pairing import AlignedSource
from phire.evaluation.results import (
    COMMAND,
    PROVENANCE,
    SUMMARY,
    TRUTH,
    read_provenance,
    result_path,
)
from phire.fields.result_files import recorded_options, write_result

REPORT = "report.html"

NOTES = "notes"
"""Key of the user's notes in ``provenance.json``."""


@dataclasses.dataclass(frozen=True)
class ResultFile:
    """One file of results: a metric of a candidate, or of the truth, in a region."""

    candidate: str  # or TRUTH
    metric: str
    region: str


class Folder:
    """Folder of results with the options that made it."""

    def __init__(
        self,
        path: Path,
        base: Mapping[str, Any],
        candidates: Mapping[str, Any],
        regions: Mapping[str, Any],
    ) -> None:
        self.path = path
        self.base = files.plain(base)
        self.candidates = files.plain(candidates)
        self.regions = files.plain(regions)
        self.notes: list[str] = []
        self.progress = path / ".progress"
        self.grew = False
        text = json.dumps([self.base, self.candidates, self.regions], sort_keys=True)
        self.identity = hashlib.sha256(text.encode()).hexdigest()

    def prepare(self, overwrite: bool) -> None:
        """Makes the folder, or checks that what is there was made by the same options.

        Raises:
            InputError: It was made by other options, or by something else.
        """
        found = read_provenance(self.path)
        recorded = None if found is None else found["options"]
        if recorded is not None and not overwrite:
            # Candidates and regions may be added; those that are there must be the same.
            wanted, there = dict(self.base), {k: recorded.get(k) for k in self.base}
            for kind, own in (("candidate", self.candidates), ("region", self.regions)):
                known = recorded.get(f"{kind}s", {})
                self.grew |= any(name not in known for name in own)
                for name in own:
                    if name in known:
                        wanted[f"{kind} {name}"], there[f"{kind} {name}"] = own[name], known[name]
            provenance.already_made(self.path, there, wanted, announce=False)
            self.candidates = {**recorded.get("candidates", {}), **self.candidates}
            self.regions = {**recorded.get("regions", {}), **self.regions}
            self.notes = list(found.get(NOTES, ()))
        elif self.path.is_dir() and not any(self.path.iterdir()):
            pass  # an empty folder that someone made beforehand
        else:
            provenance.already_made(self.path, None, {}, overwrite)
            files.remove(self.path)
        files.require_place(self.path)
        self.path.mkdir(exist_ok=True)
        if found is None or overwrite or self.grew:
            self.record()

    def record(self) -> dict[str, Any]:
        """Writes what the folder is made by; returns the options."""
        options = {**self.base, "candidates": self.candidates, "regions": self.regions}
        made = {"kind": COMMAND, **provenance.record(options), NOTES: self.notes}
        files.write_json(self.path / PROVENANCE, made)
        return options

    def note(self, notes: Iterable[str]) -> None:
        """Tells notes, each once, and keeps them for the report."""
        for note in notes:
            if note not in self.notes:
                self.notes.append(note)
                progress.say(f"{note[:1].upper()}{note[1:]}.")

    def options_of(self, unit: ResultFile) -> dict[str, Any]:
        """Returns the options that the numbers of one file depend on."""
        options = {"metric": unit.metric, **self.base}
        if unit.candidate != TRUTH:
            options["candidate"] = self.candidates[unit.candidate]
        if unit.region:
            options["region"] = self.regions[unit.region]
        return files.plain(options)

    def has(self, unit: ResultFile) -> bool:
        """Tells whether a file is there, made by these options.

        Raises:
            InputError: It was made by other options; the message names them.
        """
        path = result_path(self.path, unit.candidate, unit.metric, unit.region)
        return provenance.already_made(
            path, recorded_options(path), self.options_of(unit), announce=False
        )

    def write(self, unit: ResultFile, dataset: Any, truth: AlignedSource) -> None:
        """Writes one file."""
        path = result_path(self.path, unit.candidate, unit.metric, unit.region)
        attributes = {
            "metric": unit.metric,
            "candidate": unit.candidate,
            "region": unit.region,
            "grid": truth.grid.describe(),
            "times": len(truth.time),
            "scale": self.base["scale"],
            "Conventions": "CF-1.10",
        }
        write_result(dataset, path, self.options_of(unit), attributes)

    def is_finished(self, report: bool) -> bool:
        """Returns True if all results and the report are there."""
        needed = [SUMMARY, *([REPORT] if report else [])]
        return all((self.path / name).is_file() for name in needed)

    def finish(self) -> None:
        """Removes the intermediate states of an interrupted evaluation."""
        files.remove(self.progress)
