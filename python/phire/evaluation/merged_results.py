"""Merging of several evaluations into one folder with table, figures and report."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire import files, progress, provenance
from phire.errors import InputError, naming_arguments
from phire.evaluation.candidate_differences import compare_candidates
from phire.evaluation.city_statistics import count_cities
from phire.evaluation.results import COMMAND, PROVENANCE, TRUTH, read_provenance, read_result
from phire.evaluation.summary import summarise

SHARED = ("truth", "times", "grid", "scale")
"""Options in which evaluations must agree to be compared."""


@naming_arguments()
def merge_results(
    folders: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    *,
    report: bool = True,
    overwrite: bool = False,
) -> Path:
    """Puts the candidates of several evaluations into one folder with one table and report.

    Candidates of the same name are told apart by the names of their folders.

    Args:
        folders: Folders that ``phire-eval`` made, of the same truth, times and scale.
        output: The new folder.
        report: Draw the figures and write the report.
        overwrite: Make the folder anew if it is there.

    Returns:
        The folder.

    Raises:
        InputError: A folder holds no results, or the evaluations differ in what must be shared.
    """
    output = Path(output)
    if len(folders) < 2:
        raise InputError("--compare needs two folders of results or more.")
    merged, sources = _merged(folders)
    regions = merged["regions"]
    found = read_provenance(output)
    recorded = None if found is None else found["options"]
    if provenance.already_made(output, recorded, files.plain(merged), overwrite):
        return output
    with files.replacing(output) as partial:
        partial.mkdir()
        for folder in folders:
            _copy(Path(folder) / TRUTH, partial / TRUTH)
        for name, (folder, own, _) in sources.items():
            _copy(Path(folder) / own, partial / name)
        notes = _notes(folders)
        for note in notes:
            progress.say(f"{note[:1].upper()}{note[1:]}.")
        made = {"kind": COMMAND, **provenance.record(merged), "notes": notes}
        files.write_json(partial / PROVENANCE, made)
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
    """Returns folders of results in groups that can be compared, in order.

    Args:
        folders: Folders that ``phire-eval`` made.

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
    """Tells whether a folder holds what :func:`merge_results` makes of these folders."""
    found = read_provenance(output)
    merged, _ = _merged(folders)
    return found is not None and not provenance.differences(found["options"], files.plain(merged))


def _merged(
    folders: Sequence[str | os.PathLike],
) -> tuple[dict[str, Any], dict[str, tuple[str | os.PathLike, str, Any]]]:
    """The options of the merged folder, and where each candidate's results lie."""
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
                raise InputError(f"the region {name} of {folder} is another one elsewhere.")
    sources = _sources(folders, options)
    merged = {
        **options[0],
        "candidates": {name: origin for name, (_, _, origin) in sources.items()},
        "regions": regions,
        "compared": [os.path.realpath(folder) for folder in folders],
    }
    return merged, sources


def _notes(folders: Sequence[str | os.PathLike]) -> list[str]:
    """The notes of all folders, and a warning where they count other points of the truth."""
    notes = []
    for folder in folders[1:]:
        if not _same_points(Path(folders[0]) / TRUTH, Path(folder) / TRUTH):
            notes.append(
                f"{os.path.basename(folders[0])} and {os.path.basename(folder)} count other points "
                "of the truth, as candidates of one of them have missing values: scores of one are "
                "not comparable with scores of the other; evaluate all candidates together"
            )
    for folder in folders:
        for note in (read_provenance(folder) or {}).get("notes", ()):
            notes.append(f"in {os.path.basename(folder)}: {note}")
    return list(dict.fromkeys(notes))


def _same_points(truth: Path, other: Path) -> bool:
    """Tells whether the truth's own numbers are equal in two folders, where both have any."""
    for file in ("distribution.nc", "maps.nc"):
        if (truth / file).is_file() and (other / file).is_file():
            first, second = (read_result(place / file)["mean"] for place in (truth, other))
            return first.shape == second.shape and bool(
                np.allclose(first, second, rtol=1e-6, equal_nan=True)
            )
    return True


def _options(folder: str | os.PathLike) -> dict[str, Any]:
    """The options of the evaluation that made a folder."""
    found = read_provenance(folder) if Path(folder).is_dir() else None
    if found is None:
        raise InputError(
            f"{os.fspath(folder)} is no folder of results: name what phire-eval was given as --out."
        )
    return found["options"]


def _sources(
    folders: Sequence[str | os.PathLike], options: Sequence[dict[str, Any]]
) -> dict[str, tuple[str | os.PathLike, str, Any]]:
    """Folder, name there and origin of each candidate, by its name in the merged folder."""
    every = [name for one in options for name in one["candidates"]]
    found: dict[str, tuple[str | os.PathLike, str, Any]] = {}
    for folder, one in zip(folders, options):
        for name, origin in one["candidates"].items():
            beside = re.sub(r"[^A-Za-z0-9_ +-]+", "-", Path(folder).resolve().name)
            unique = name if every.count(name) == 1 else f"{name} {beside}"
            if unique in found:
                raise InputError(
                    f"two folders called {beside} have a candidate {name}: rename a folder."
                )
            found[unique] = (folder, name, origin)
    return found


def _copy(source: Path, target: Path) -> None:
    """Copies the result files of one candidate, but those that are there."""
    target.mkdir(exist_ok=True)
    for file in source.glob("*.nc"):
        if not (target / file.name).exists():
            shutil.copyfile(file, target / file.name)
