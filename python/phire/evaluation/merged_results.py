"""Merging of several evaluations into one results folder with table, figures and report."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire import existing_outputs, files, progress, provenance
from phire.errors import InputError, naming_arguments
from phire.evaluation.candidate_differences import compare_candidates
from phire.evaluation.city_statistics import count_cities
from phire.evaluation.results import (
    COMMAND,
    PROVENANCE,
    SUMMARY,
    TRUTH,
    read_provenance,
    read_result,
)
from phire.evaluation.summary import summarise

SHARED = ("truth", "times", "grid", "scale")
"""Recorded options that must be equal for evaluations to be merged."""


@naming_arguments()
def merge_results(
    folders: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    *,
    report: bool = True,
    overwrite: bool = False,
) -> Path:
    """Merges the candidates of several evaluations into one folder with one table and report.

    Where two evaluations have a candidate of the same name, the name of its folder is appended.

    Args:
        folders: Results folders of ``phire-eval``, with the same truth, times, grid and scale.
        output: The new results folder.
        report: If True, figures are drawn and the report is written.
        overwrite: If True, an existing ``output`` is replaced.

    Returns:
        The path of the new folder.

    Raises:
        InputError: Fewer than two folders are given, a folder holds no results or those of an
            unfinished evaluation, or the evaluations differ in truth, times, grid, scale or the
            definition of a region.
    """
    output = Path(output)
    if len(folders) < 2:
        raise InputError("--compare needs two folders of results or more.")
    merged, sources = _merged_options(folders)
    for folder in folders:
        if not (Path(folder) / SUMMARY).is_file():
            raise InputError(
                f"{os.fspath(folder)} is unfinished (it has no {SUMMARY}): run phire-eval on it "
                "again."
            )
    regions = merged["regions"]
    found = read_provenance(output)
    recorded = None if found is None else found["options"]
    if existing_outputs.already_made(output, recorded, files.plain(merged), overwrite):
        return output
    with files.replacing(output) as partial:
        partial.mkdir()
        for folder in folders:
            _copy(Path(folder) / TRUTH, partial / TRUTH)
        for name, (folder, name_in_folder, _) in sources.items():
            _copy(Path(folder) / name_in_folder, partial / name)
        notes = _notes(folders)
        for note in notes:
            progress.say(f"{note[:1].upper()}{note[1:]}.")
        contents = {"kind": COMMAND, **provenance.record(merged), "notes": notes}
        files.write_json(partial / PROVENANCE, contents)
        summarise(partial, sources, regions)
        compare_candidates(partial, sources, regions, int(merged.get("seed") or 0))
        count_cities(partial, sources)
        if report:
            from phire.evaluation.figures import draw_all
            from phire.evaluation.report import write_report

            draw_all(partial)
            write_report(partial)
        files.remove(output)
    return output


def comparable(folders: Sequence[str | os.PathLike]) -> list[list[str | os.PathLike]]:
    """Groups results folders such that those of a group can be merged, in the given order.

    Args:
        folders: Results folders of ``phire-eval``.

    Raises:
        InputError: A folder holds no results.
    """
    groups: dict[str, list[str | os.PathLike]] = {}
    for folder in folders:
        options = _options(folder)
        shared = json.dumps([options.get(key) for key in SHARED], sort_keys=True)
        groups.setdefault(shared, []).append(folder)
    return list(groups.values())


def is_merged(folders: Sequence[str | os.PathLike], output: str | os.PathLike) -> bool:
    """Returns True if ``output`` already holds the merged results of these folders."""
    found = read_provenance(output)
    merged, _ = _merged_options(folders)
    return found is not None and not existing_outputs.differences(
        found["options"], files.plain(merged)
    )


def _merged_options(
    folders: Sequence[str | os.PathLike],
) -> tuple[dict[str, Any], dict[str, tuple[str | os.PathLike, str, Any]]]:
    """Returns the options of the merged folder, and the sources of :func:`_sources`.

    Raises:
        InputError: The evaluations cannot be merged.
    """
    options = [_options(folder) for folder in folders]
    for folder, other in zip(folders[1:], options[1:]):
        for key in SHARED:
            if other.get(key) != options[0].get(key):
                raise InputError(
                    f"{folders[0]} and {folder} differ in their {key}: evaluations can be compared "
                    "where truth, times, grid and scale are the same."
                )
    regions: dict[str, Any] = {}
    for folder, one in zip(folders, options):
        for name, region in one.get("regions", {}).items():
            if regions.setdefault(name, region) != region:
                raise InputError(
                    f"the region {name} of {folder} differs from the region of the same name in "
                    "another folder: evaluate them with the same regions."
                )
    sources = _sources(folders, options)
    merged = {
        **options[0],
        "candidates": {name: origin for name, (_, _, origin) in sources.items()},
        "regions": regions,
        "compared": [os.path.realpath(folder) for folder in folders],
    }
    return merged, sources


def _notes(folders: Sequence[str | os.PathLike]) -> list[str]:
    """Returns the notes of all folders, and warnings where their common points differ."""
    notes = []
    for folder in folders[1:]:
        if not _same_points(Path(folders[0]) / TRUTH, Path(folder) / TRUTH):
            notes.append(
                f"{os.path.basename(folders[0])} and {os.path.basename(folder)} were evaluated on "
                "different points of the truth, since candidates of one have missing values: their "
                "scores are not comparable; evaluate all candidates together"
            )
    for folder in folders:
        for note in (read_provenance(folder) or {}).get("notes", ()):
            notes.append(f"in {os.path.basename(folder)}: {note}")
    return list(dict.fromkeys(notes))


def _same_points(truth: Path, other: Path) -> bool:
    """Returns True if the truth has equal means in two folders, or one of them has no means.

    The means depend on the points that were evaluated, hence on the candidates' missing values.
    """
    for file in ("distribution.nc", "maps.nc"):
        if (truth / file).is_file() and (other / file).is_file():
            first, second = (read_result(place / file)["mean"] for place in (truth, other))
            return first.shape == second.shape and bool(
                np.allclose(first, second, rtol=1e-6, equal_nan=True)
            )
    return True


def _options(folder: str | os.PathLike) -> dict[str, Any]:
    """Returns the recorded options of the evaluation in a folder.

    Raises:
        InputError: The folder holds no results.
    """
    found = read_provenance(folder) if Path(folder).is_dir() else None
    if found is None:
        problem = "is no results folder" if Path(folder).exists() else "does not exist"
        raise InputError(
            f"{os.fspath(folder)} {problem}: --compare combines results folders of phire-eval."
        )
    return found["options"]


def _sources(
    folders: Sequence[str | os.PathLike], options: Sequence[dict[str, Any]]
) -> dict[str, tuple[str | os.PathLike, str, Any]]:
    """Returns each candidate's source, by its name in the merged folder.

    A source is the folder, the candidate's name in this folder, and the recorded origin.
    """
    every = [name for one in options for name in one["candidates"]]
    found: dict[str, tuple[str | os.PathLike, str, Any]] = {}
    for folder, one in zip(folders, options):
        for name, origin in one["candidates"].items():
            suffix = re.sub(r"[^A-Za-z0-9_ +-]+", "-", Path(folder).resolve().name)
            unique = name if every.count(name) == 1 else f"{name} {suffix}"
            if unique in found:
                raise InputError(
                    f"two folders called {suffix} have a candidate {name}: rename a folder."
                )
            found[unique] = (folder, name, origin)
    return found


def _copy(source: Path, target: Path) -> None:
    """Copies the result files of one candidate; existing files are not replaced."""
    target.mkdir(exist_ok=True)
    for file in source.glob("*.nc"):
        if not (target / file.name).exists():
            shutil.copyfile(file, target / file.name)
