"""Report page: its content, collected from a results folder, and its template."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from phire import files
from phire.evaluation.candidate_differences import read_differences
from phire.evaluation.catalogue import definition
from phire.evaluation.cities import MARGIN_TEXT
from phire.evaluation.figures.figure_files import INDEX, draw_all
from phire.evaluation.figures.figure_plan import GROUPS
from phire.evaluation.figures.label_text import pretty_units, readable
from phire.evaluation.figures.results_reading import FIGURES, ResultsFolder
from phire.evaluation.report.embedded_images import embedded_images
from phire.evaluation.report.score_tables import (
    Table,
    direction_text,
    key_table,
    numbers_of,
    score_tables,
    summary_by_region,
)
from phire.evaluation.report.strengths import Verdict, verdicts

REPORT = "report.html"

LEADING = ("spectrum-kinetic-energy", "spectrum-*", "panels-*", "*")
"""Patterns of names; the first figure that matches is shown at the top of the report."""


def write_report(results: str | os.PathLike) -> Path:
    """Writes ``OUT/report.html``: scores, figures, definitions and provenance in one file.

    The file contains style, script and images, and can be opened without a network. Figures are
    read from ``OUT/figures``, and drawn first if this folder does not exist.

    Args:
        results: The folder ``OUT`` of an evaluation.

    Returns:
        The path of the report.

    Raises:
        InputError: The folder does not exist or holds no results.
    """
    folder = ResultsFolder(results)
    if not (folder.path / FIGURES / INDEX).is_file():
        draw_all(results)
    entries = json.loads((folder.path / FIGURES / INDEX).read_text("utf-8"))
    path = folder.path / REPORT
    files.write_text(path, rendered("report.html", **_content(folder, entries)))
    return path


def rendered(template: str, **content: Any) -> str:
    """Returns an HTML page from one of the package's templates.

    Args:
        template: File name within ``phire/data``.
        content: Variables of the template; their text is escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("phire", "data"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "readable": readable,
        "direction_text": direction_text,
        "pretty_units": pretty_units,
        "sentence": _sentence,
        "capitalized": _capitalized,
    }
    data = resources.files("phire") / "data"
    assets = {
        name: (data / file).read_text("utf-8")
        for name, file in (("style", "report.css"), ("script", "report.js"))
    }
    return environment.get_template(template).render(**assets, **content)


def table_colours(folder: ResultsFolder) -> dict[str, str]:
    """Returns the colour of each candidate in figures and tables."""
    return {name: style.colour for name, style in folder.styles.items()}


def _content(folder: ResultsFolder, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the variables of the template ``report.html``.

    Args:
        folder: The results folder.
        entries: List of the figures, ``figures.json``.
    """
    origin = folder.options.get("truth", "")
    count = len(folder.candidates)
    tables = score_tables(folder)
    unknown = {"channel": "", "region": "", "times": (), "candidates": folder.candidates}
    figures = [{**unknown, **e} for e in entries if not e.get("failed")]
    paths = {e["name"]: folder.path / FIGURES / f"{e['name']}.png" for e in figures}
    figures = [entry for entry in figures if paths[entry["name"]].is_file()]
    lead = _leading(figures)
    images = embedded_images(
        {entry["name"]: paths[entry["name"]] for entry in figures},
        first=[lead["name"]] if lead else (),
    )
    return {
        "title": f"Evaluation of {count} candidate{'s' if count != 1 else ''}",
        "candidates": folder.candidates,
        "truth": str(origin.get("path", "") if isinstance(origin, Mapping) else origin),
        "overview": _overview_of(folder),
        "notes": _notes(folder, entries),
        "choices": _choices(folder, tables, figures),
        "overviews": _overviews(folder, tables),
        "tested": read_differences(folder.path) is not None,
        "lead": lead,
        "tables": tables,
        "colours": table_colours(folder),
        "groups": [
            (key, heading, [entry for entry in figures if entry["group"] == key])
            for key, heading in GROUPS.items()
            if any(entry["group"] == key for entry in figures)
        ],
        "images": images,
        "cities": _city_counts(folder),
        "margin": MARGIN_TEXT,
        "definitions": _definitions(folder),
        "provenance": _provenance(folder),
        "version": (folder.provenance.get("versions") or {}).get("phire", ""),
    }


def _leading(figures: Sequence[Mapping[str, str]]) -> Mapping[str, str] | None:
    """Returns the figure at the top of the report, preferably of the whole domain.

    See :data:`LEADING`; None if there are no figures.
    """
    whole = [entry for entry in figures if not entry["region"]] or list(figures)
    for pattern in LEADING:
        for entry in whole:
            if Path(entry["name"]).match(pattern):
                return entry
    return None


def _overviews(
    folder: ResultsFolder, tables: Iterable[Table]
) -> list[tuple[str, list[Verdict], Table]]:
    """Returns region, verdicts and key scores of each table over all times."""
    summary, differences = summary_by_region(folder), read_differences(folder.path)
    return [
        (table.region, verdicts(table, summary[table.region], differences), key_table(table))
        for table in tables
        if not table.times
    ]


def _choices(
    folder: ResultsFolder, tables: Iterable[Table], figures: Iterable[Mapping[str, str]]
) -> dict[str, list[str]]:
    """Returns the entries of the lists by which figures and tables are filtered.

    The template adds the first entry of each list, "all".
    """
    regions = dict.fromkeys(
        [*(table.region for table in tables), *(entry["region"] for entry in figures)]
    )
    return {
        "region": [region for region in regions if region],
        "times": list(dict.fromkeys(table.times for table in tables if table.times)),
        "channel": list(folder.channels),
        "candidate": list(folder.candidates),
    }


def _overview_of(folder: ResultsFolder) -> dict[str, str]:
    """Returns labels and values of the evaluation's properties, such as grid and scale."""
    attributes: dict[str, Any] = {}
    for metric in ("spectrum", "scores", "samples", "maps", "semivariogram", "distribution"):
        for dataset in folder.metric(metric).values():
            attributes = {**dataset.attrs, **attributes}
    overview = {
        "Grid": attributes.get("grid"),
        "Fields": attributes.get("times"),
        "Scale": f"× {attributes['scale']}" if int(attributes.get("scale") or 0) > 1 else None,
        "Candidates": len(folder.candidates),
        "Made": str(folder.provenance.get("created", ""))[:16].replace("T", " ") or None,
    }
    return {name: str(value) for name, value in overview.items() if value not in (None, "")}


def _notes(folder: ResultsFolder, entries: Sequence[Mapping[str, str]]) -> list[str]:
    """Returns the notes of the evaluation, and those on figures that could not be drawn."""
    notes = [str(note) for note in folder.provenance.get("notes", ())]
    notes += [
        f"the figure {entry['title']} could not be drawn ({entry['failed']})"
        for entry in entries
        if entry.get("failed")
    ]
    return [f"{_capitalized(note)}." for note in notes]


def _city_counts(folder: ResultsFolder) -> tuple[list[str], list[tuple]] | None:
    """Returns the columns and rows of ``city_counts.csv``; None without this file."""
    path = folder.path / "city_counts.csv"
    if not path.is_file():
        return None
    counts = pd.read_csv(path)
    return list(counts.columns), list(counts.itertuples(index=False, name=None))


def _definitions(folder: ResultsFolder) -> list[Any]:
    """Returns the definitions of all scores and variables in the folder that have a formula."""
    names: dict[str, None] = {}
    if folder.summary is not None:
        for numbers in numbers_of(folder, folder.summary).values():
            names.update({number.known.name: None for number in numbers})
    for metric in folder.metrics():
        for dataset in folder.metric(metric).values():
            names.update({definition(str(name)).name: None for name in dataset.data_vars})
    return [known for known in map(definition, names) if known.formula]


def _provenance(folder: ResultsFolder) -> dict[str, str]:
    """Returns command, options and versions as text; empty if they were not recorded."""
    recorded = folder.provenance
    command = recorded.get("command") or ""
    options = (recorded.get("options") or {}).items()
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in options]
    versions = (recorded.get("versions") or {}).items()
    found = {
        "command": shlex.join(command) if isinstance(command, list) else str(command),
        "options": "\n".join(lines),
        "versions": ", ".join(f"{name} {version}" for name, version in versions),
    }
    return found if any(found.values()) else {}


def _sentence(text: str) -> str:
    """Capitalises a text that begins with a word; one that begins with a symbol is unchanged."""
    return _capitalized(text) if re.match(r"[a-z]{3,}\b", text) else text


def _capitalized(text: str) -> str:
    """Returns a text with a capital first letter, other letters unchanged."""
    return text[:1].upper() + text[1:]
