"""The report of an evaluation: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import dataclasses
import html
import importlib.resources
import io
import json
import math
import os
import re
import shlex
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, features

from phire import files
from phire.evaluation.candidate_differences import equal_to, read_differences
from phire.evaluation.catalogue import definition
from phire.evaluation.cities import MARGIN_TEXT
from phire.evaluation.definitions import Definition
from phire.evaluation.figures.all_figures import GROUPS
from phire.evaluation.figures.figure_files import INDEX, draw_all
from phire.evaluation.figures.reading import FIGURES, ResultsFolder
from phire.evaluation.figures.style import number_digits, pretty_units, readable

REPORT = "report.html"

LIGHT = 40_000
"""Bytes of a PNG file that is put into the report as it is."""

ALIKE = '<span class="alike" title="cannot be told from the best (95 %, paired in time)">≈</span>'

ENDS = ("_low", "_high")
"""Endings of the least and greatest over members, or of the ends of an interval."""

WEBP_QUALITY = 75
"""At which neither lettering nor colours differ visibly from the PNG file."""


def write_report(results: str | os.PathLike) -> Path:
    """Writes ``OUT/report.html``: scores, figures, definitions and provenance in one file.

    Style and images lie within the file, so that it opens anywhere without a network. Figures are
    taken from ``OUT/figures``; where they are not there yet, they are drawn.

    Args:
        results: The folder ``OUT`` of an evaluation.

    Returns:
        The path of the report, which is whole once it is there.

    Raises:
        InputError: The folder does not exist or holds no results.
    """
    folder = ResultsFolder(results)
    if not (folder.path / FIGURES / INDEX).is_file():
        draw_all(results)
    entries = json.loads((folder.path / FIGURES / INDEX).read_text("utf-8"))
    path = folder.path / REPORT
    files.write_text(path, "".join(_page(folder, entries)))
    return path


def _page(folder: ResultsFolder, entries: Sequence[Mapping[str, str]]) -> Iterator[str]:
    style = importlib.resources.files("phire").joinpath("data/report.css").read_text("utf-8")
    origin = folder.options.get("truth", "")
    truth = str(origin.get("path", "") if isinstance(origin, Mapping) else origin)
    count = len(folder.candidates)
    title = f"Evaluation of {count} candidate{'s' if count != 1 else ''}"
    groups = {key: [e for e in entries if e["group"] == key] for key in GROUPS}
    groups = {key: found for key, found in groups.items() if found}
    sections = {
        "scores": "Scores",
        **{f"group-{key}": GROUPS[key] for key in groups},
        "definitions": "Definitions",
        "provenance": "Provenance",
    }
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # No icon to fetch: without this line browsers ask for one and report that it is missing.
        '<link rel="icon" href="data:,">\n'
        f"<title>{_text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<header>\n"
        f"<h1>{_text(title)}</h1>\n"
        f'<p class="lead">{_text(", ".join(folder.candidates))}'
        f"{' against ' + _text(truth) if truth else ''}</p>\n"
    )
    yield _facts(folder)
    yield _notes(folder, entries)
    links = "".join(f'<a href="#{key}">{_text(name)}</a>' for key, name in sections.items())
    yield f'<nav aria-label="Sections">{links}</nav>\n</header>\n<main>\n'
    yield '<section id="scores">\n<h2>Scores</h2>\n'
    yield from _scores(folder)
    yield "</section>\n"
    for key, found in groups.items():
        yield f'<section id="group-{key}">\n<h2>{_text(GROUPS[key])}</h2>\n'
        for entry in found:
            yield _figure(folder, entry)
        if key == "cities":
            yield _city_counts(folder)
        yield "</section>\n"
    yield '<section id="definitions">\n<h2>How each number is defined</h2>\n'
    yield _definitions(folder, groups)
    yield '</section>\n<section id="provenance">\n<h2>Provenance</h2>\n'
    yield _provenance(folder)
    version = (folder.provenance.get("versions") or {}).get("phire", "")
    yield f"</section>\n</main>\n<footer>Made by phire {_text(version)}.</footer>\n"
    yield "</body>\n</html>\n"


def _facts(folder: ResultsFolder) -> str:
    attributes: dict[str, Any] = {}
    for metric in ("spectrum", "scores", "samples", "maps", "semivariogram", "distribution"):
        for dataset in folder.metric(metric).values():
            attributes = {**dataset.attrs, **attributes}
    facts = {
        "Grid": attributes.get("grid"),
        "Fields": attributes.get("times"),
        "Scale": f"× {attributes['scale']}" if int(attributes.get("scale") or 0) > 1 else None,
        "Candidates": len(folder.candidates),
        "Made": str(folder.provenance.get("created", ""))[:16].replace("T", " ") or None,
    }
    shown = "".join(
        f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>"
        for name, value in facts.items()
        if value not in (None, "")
    )
    return f'<dl class="facts">{shown}</dl>\n'


def _notes(folder: ResultsFolder, entries: Sequence[Mapping[str, str]]) -> str:
    """Renders the notes: statistics left out, and figures that could not be drawn."""
    notes = [str(note) for note in folder.provenance.get("notes", ())]
    notes += [
        f"the figure {entry['title']} could not be drawn ({entry['failed']})"
        for entry in entries
        if entry.get("failed")
    ]
    if not notes:
        return ""
    items = "".join(f"<li>{_text(_capital(note))}.</li>\n" for note in notes)
    return f'<section id="notes">\n<h2>Notes</h2>\n<ul class="notes">\n{items}</ul>\n</section>\n'


def _scores(folder: ResultsFolder) -> Iterator[str]:
    summary = folder.summary
    if summary is None or summary.empty:
        yield "<p>No table of scores was computed.</p>\n"
        return
    yield (
        '<p>The best candidate of each row is marked by a star. <span class="way">↓</span> lower '
        'is better, <span class="way">↑</span> higher is better, <span class="way">→</span> nearer '
        "to the number is better. ≈: cannot be told from the best by blocks of times (95 %); in "
        "brackets: the range of members, or the interval of 95 %. No single score tells all: "
        "smooth fields win by pixel errors and lose by spectra.</p>\n"
    )
    regions = summary["region"].fillna("").astype(str) if "region" in summary else ""
    for region in dict.fromkeys(regions) if "region" in summary else [""]:
        table = summary[regions == region] if "region" in summary else summary
        if region:
            yield f"<h3>{_text(region)}</h3>\n"
        yield _score_table(folder, table.set_index("candidate"), region)


def _score_table(folder: ResultsFolder, table: pd.DataFrame, region: str) -> str:
    candidates = [name for name in folder.candidates if name in table.index]
    candidates += [name for name in table.index if name not in candidates]
    head = "".join(f'<th scope="col">{_key(folder, name)}{_text(name)}</th>' for name in candidates)
    body = []
    differences = read_differences(folder.path)
    for heading, columns in _columns(folder, table).items():
        if heading:
            body.append(
                f'<tr class="group"><th scope="rowgroup" colspan="{len(candidates) + 1}">'
                f"{_text(readable(heading))}</th></tr>"
            )
        for column in columns:
            known = column.known
            values = np.array([table.loc[name, column.name] for name in candidates], dtype=float)
            best = best_of(values, known)
            units = pretty_units(folder.units(known.name, column.channel or None))
            ranges = [_range(table, name, column) for name in candidates]
            alike = {
                name
                for i in best
                for name in equal_to(differences, region, column.name, candidates[i])
            }
            marks = [ALIKE if name in alike else "" for name in candidates]
            cells = "".join(
                f'<td class="best" title="best">{_number(value)}{ranges[i]}</td>'
                if i in best
                else f"<td>{_number(value)}{marks[i]}{ranges[i]}</td>"
                for i, value in enumerate(values)
            )
            body.append(
                f'<tr><th scope="row">{_text(column.title)} '
                f'<span class="way" title="{_way(known)}">{known.direction}</span>'
                + (f' <span class="units">({_text(units)})</span>' if units else "")
                + f"</th>{cells}</tr>"
            )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of scores">'
        f'<table class="scores">\n<thead><tr><th scope="col">Score</th>{head}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(body)}\n</tbody></table></div>\n"
    )


def _range(table: pd.DataFrame, candidate: str, column: _Column) -> str:
    """The columns ``NAME_low`` and ``NAME_high`` beside a number; empty where there are none."""
    base, separator, labels = column.name.partition(":")
    ends = [f"{base}{end}{separator}{labels}" for end in ENDS]
    if not all(end in table for end in ends):
        return ""
    low, high = (float(table.loc[candidate, end]) for end in ends)
    if not math.isfinite(low + high):
        return ""
    return f' <span class="range">({_number(low)} … {_number(high)})</span>'


@dataclasses.dataclass(frozen=True)
class _Column:
    """A number of the summary, ``NAME:CHANNEL:LABEL...``."""

    name: str
    known: Definition
    channel: str
    title: str


def _columns(folder: ResultsFolder, table: pd.DataFrame) -> dict[str, list[_Column]]:
    """The numeric columns under their headings: of no channel, kinetic energy, the channels."""
    found: dict[str, list[_Column]] = {"": [], "kinetic_energy": []}
    found |= {channel: [] for channel in folder.channels}
    bases = {str(column).split(":")[0] for column in table.columns}
    for column in table.columns:
        values = pd.to_numeric(table[column], errors="coerce")
        if column in ("region", "candidate") or values.isna().all():
            continue
        name, *labels = str(column).split(":")
        if name.endswith(ENDS) and name.rsplit("_", 1)[0] in bases:
            continue  # shown behind the number that it is an end of
        channel = labels.pop(0) if labels and labels[0] in found else ""
        heading = channel or ("other numbers" if labels else "")
        known = definition(name)
        title = known.title + (f", {', '.join(map(readable, labels))}" if labels else "")
        found.setdefault(heading, []).append(_Column(str(column), known, channel, title))
    return {heading: columns for heading, columns in found.items() if columns}


def best_of(values: np.ndarray, known: Definition) -> set[int]:
    """The places of the best values, several where they are equal as printed.

    Args:
        values: (n,) of one score; missing ones do not compete.
        known: The score's definition.

    Returns:
        The places; none where no direction is better or all who have a value are equal.
    """
    if not known.better or np.isfinite(values).sum() < 2:
        return set()
    distance = {
        "lower": values,
        "higher": -values,
        "zero": np.abs(values),
        "one": np.abs(values - 1),
    }[known.better]
    least = _number(values[int(np.nanargmin(distance))])
    best = {
        i
        for i, value in enumerate(values)
        if np.isfinite(value) and (_number(value) == least or distance[i] == np.nanmin(distance))
    }
    return best if len(best) < np.isfinite(values).sum() else set()


def _key(folder: ResultsFolder, name: str) -> str:
    style = folder.styles.get(name)
    return f'<span class="key" style="background:{style.colour}"></span>' if style else ""


def _way(known: Definition) -> str:
    return {
        "lower": "lower is better",
        "higher": "higher is better",
        "zero": "nearer to 0 is better",
        "one": "nearer to 1 is better",
    }.get(known.better, "")


def _figure(folder: ResultsFolder, entry: Mapping[str, str]) -> str:
    path = folder.path / FIGURES / f"{entry['name']}.png"
    if entry.get("failed") or not path.is_file():
        return ""
    content = path.read_bytes()
    width, height, density = _png_size(content)
    kind, content = _lighter(content)
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    # Shown no larger than about 115 points an inch, the size at which labels read as text does.
    shown = round(width / density * 115)
    alternative = f"{entry['title']}. {entry['caption']}"
    return (
        f'<figure id="{_text(entry["name"])}" style="--width:{shown}px"><a>'
        f'<img src="{source}" width="{width}" height="{height}" alt="{_text(alternative)}"></a>\n'
        f"<figcaption><strong>{_text(entry['title'])}.</strong> {_text(entry['caption'])}"
        "</figcaption></figure>\n"
    )


def _lighter(content: bytes) -> tuple[str, bytes]:
    """A PNG file as WebP of the same size in pixels where that is the smaller: kind, content.

    Fields and maps compress to a tenth. What the eye could miss is in ``OUT/figures``.
    """
    if len(content) > LIGHT and features.check("webp"):
        stream = io.BytesIO()
        with Image.open(io.BytesIO(content)) as image:
            image.convert("RGB").save(stream, "WEBP", quality=WEBP_QUALITY, method=2)
        if stream.tell() < len(content):
            return "webp", stream.getvalue()
    return "png", content


def _png_size(content: bytes) -> tuple[int, int, float]:
    """Width, height in pixels, and dots per inch of a PNG."""
    width, height = struct.unpack(">II", content[16:24])
    place = content.find(b"pHYs", 0, 4096)
    density = 160.0
    if place > 0:
        density = struct.unpack(">I", content[place + 4 : place + 8])[0] * 0.0254
    return width, height, density


def _city_counts(folder: ResultsFolder) -> str:
    path = folder.path / "city_counts.csv"
    if not path.is_file():
        return ""
    counts = pd.read_csv(path)
    head = "".join(f'<th scope="col">{_text(readable(name))}</th>' for name in counts.columns)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{_text(value)}</td>" for value in row) + "</tr>"
        for row in counts.itertuples(index=False)
    )
    return (
        "<h3>Cities at which one candidate is better than another</h3>\n"
        '<p class="note">Counted by the Wasserstein-1 distance to the truth; better or worse means '
        f"by more than {MARGIN_TEXT}.</p>\n"
        '<div class="scroll" tabindex="0" role="region" aria-label="Counts of cities"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>\n"
    )


def _definitions(folder: ResultsFolder, groups: Mapping[str, Any]) -> str:
    names: dict[str, None] = {}
    if folder.summary is not None:
        for columns in _columns(folder, folder.summary).values():
            names.update({column.known.name: None for column in columns})
    for metric in folder.metrics():
        for dataset in folder.metric(metric).values():
            names.update({definition(str(name)).name: None for name in dataset.data_vars})
    items = []
    for name in names:
        known = definition(name)
        if not known.formula:
            continue
        better = f" {_capital(_way(known))}." if known.better else ""
        units = pretty_units(known.units)
        items.append(
            f"<div><dt>{_text(known.title)}</dt><dd>{_text(_sentence(known.formula))}."
            f"{' Units: ' + _text(units) + '.' if units else ''}{better}"
            + (f'<br><span class="source">{_text(known.source)}</span>' if known.source else "")
            + "</dd></div>"
        )
    return (
        '<p class="note">x is the candidate, y the truth; w are area weights of mean 1, ⟨·⟩ is the '
        "mean over the field with them. Missing values are left out of every mean.</p>\n"
        f'<dl class="definitions">\n{chr(10).join(items)}\n</dl>\n'
    )


def _provenance(folder: ResultsFolder) -> str:
    made = folder.provenance
    if not made:
        return "<p>What made these results was not kept.</p>\n"
    parts = []
    command = made.get("command")
    if command:
        line = shlex.join(command) if isinstance(command, list) else str(command)
        parts.append(f"<h3>Command</h3>\n<pre>{_text(line)}</pre>\n")
    if made.get("options"):
        lines = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}"
                          for key, value in made["options"].items())  # fmt: skip
        parts.append(f"<h3>Options and inputs</h3>\n<pre>{_text(lines)}</pre>\n")
    versions = made.get("versions") or {}
    if versions:
        text = ", ".join(f"{name} {version}" for name, version in versions.items())
        parts.append(f"<h3>Versions</h3>\n<p>{_text(text)}</p>\n")
    return "".join(parts)


def _number(value: float) -> str:
    """Four significant digits for people; an en dash where there is no value."""
    return "–" if not math.isfinite(value) else number_digits(value)


def _sentence(text: str) -> str:
    """With a capital where it begins with a word, not with a symbol."""
    return _capital(text) if re.match(r"[a-z]{3,}\b", text) else text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
