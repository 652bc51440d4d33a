"""Results folder of an evaluation: its recorded options and its finished files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from phire import existing_outputs, files, progress, provenance
from phire.evaluation.pairing import AlignedSource
from phire.evaluation.results import (
    COMMAND,
    PROVENANCE,
    SUMMARY,
    TRUTH,
    read_provenance,
    result_path,
)
from phire.fields.result_files import options_of_result, write_result

REPORT = "report.html"

NOTES = "notes"
"""Key of the user's notes in ``provenance.json``."""


@dataclasses.dataclass(frozen=True)
class ResultFile:
    """One file of results.

    Attributes:
        candidate: Name of the candidate, or :data:`TRUTH`.
        metric: Name of the statistic.
        region: Name of the region; empty for the whole domain.
    """

    candidate: str
    metric: str
    region: str


class Folder:
    """Results folder with the options of its evaluation.

    Args:
        path: The folder.
        base: Options that all results depend on.
        candidates: Origin of each candidate, by name.
        regions: Definition of each region, by name.

    Attributes:
        notes: Notes of the evaluation, in the order in which they were given.
        progress: Folder of the snapshots of an unfinished evaluation.
        grew: True if this evaluation adds candidates or regions to existing results.
        identity: Hash of all options.
    """

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
        """Creates the folder, or checks that existing results have the same options.

        Args:
            overwrite: If True, an existing folder is replaced.

        Raises:
            InputError: The existing folder has other options, or is no results folder.
        """
        found = read_provenance(self.path)
        recorded = None if found is None else found["options"]
        if recorded is not None and not overwrite:
            # Candidates and regions may be added; existing ones must have the same options.
            wanted, existing = dict(self.base), {k: recorded.get(k) for k in self.base}
            for kind, given in (("candidate", self.candidates), ("region", self.regions)):
                known = recorded.get(f"{kind}s", {})
                self.grew |= any(name not in known for name in given)
                for name in given:
                    if name in known:
                        key = f"{kind} {name}"
                        wanted[key], existing[key] = given[name], known[name]
            existing_outputs.already_made(self.path, existing, wanted, announce=False)
            self.candidates = {**recorded.get("candidates", {}), **self.candidates}
            self.regions = {**recorded.get("regions", {}), **self.regions}
            self.notes = list(found.get(NOTES, ()))
        elif self.path.is_dir() and not any(self.path.iterdir()):
            pass  # an empty folder may be used
        else:
            existing_outputs.already_made(self.path, None, {}, overwrite)
            files.remove(self.path)
        files.require_place(self.path)
        self.path.mkdir(exist_ok=True)
        if found is None or overwrite or self.grew:
            self.record()

    def remove_if_empty(self) -> None:
        """Removes the folder if it holds no result yet."""
        if not any(self.path.glob("*/*.nc")):
            files.remove(self.path)

    def record(self) -> dict[str, Any]:
        """Writes ``provenance.json``; returns the options."""
        options = {**self.base, "candidates": self.candidates, "regions": self.regions}
        contents = {"kind": COMMAND, **provenance.record(options), NOTES: self.notes}
        files.write_json(self.path / PROVENANCE, contents)
        return options

    def note(self, notes: Iterable[str]) -> None:
        """Prints notes that are new, and adds them to :attr:`notes` for the report."""
        for note in notes:
            if note not in self.notes:
                self.notes.append(note)
                progress.say(f"{note[:1].upper()}{note[1:]}.")

    def options_of(self, unit: ResultFile) -> dict[str, Any]:
        """Returns the options that one file of results depends on."""
        options = {"metric": unit.metric, **self.base}
        if unit.candidate != TRUTH:
            options["candidate"] = self.candidates[unit.candidate]
        if unit.region:
            options["region"] = self.regions[unit.region]
        return files.plain(options)

    def has(self, unit: ResultFile) -> bool:
        """Returns True if a file of results exists with the same options.

        Raises:
            InputError: The file has other options; the message names them.
        """
        path = result_path(self.path, unit.candidate, unit.metric, unit.region)
        return existing_outputs.already_made(
            path, options_of_result(path), self.options_of(unit), announce=False
        )

    def write(self, unit: ResultFile, dataset: Any, truth: AlignedSource) -> None:
        """Writes one file of results, with its attributes and options."""
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
        """Returns True if the table of scores exists, and with ``report`` the report too."""
        needed = [SUMMARY, *([REPORT] if report else [])]
        return all((self.path / name).is_file() for name in needed)

    def finish(self) -> None:
        """Removes the snapshots of the evaluation."""
        files.remove(self.progress)
