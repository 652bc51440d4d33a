"""Notes of an evaluation: omissions and their reasons, for the user and the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from phire.evaluation.accumulator import Batch, Setting, State, Statistic
from phire.evaluation.pairing import AlignedSource, covered
from phire.evaluation.results import TRUTH
from phire.fields.grid import Grid
from phire.fields.source import Source


class Values(Statistic):
    """Counts of missing and infinite values and of fields without any, by channel.

    They are counted for the notes alone and have no file.
    """

    name = "values"
    ensemble = "mean"

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Counts of a batch."""
        fields = truth if candidate is None else candidate
        infinite = fields.infinite
        points = fields.planes[0, 0].size * len(fields)
        given, compared = (_counts(mask, points, len(infinite))
                           for mask in (fields.given, fields.present))  # fmt: skip
        whole = len(fields) if fields.present is None else fields.present.all((2, 3)).sum(0)
        return {
            "infinite": infinite.astype(float),
            "missing": points - given - infinite,
            "left out": given - compared,
            "whole": np.broadcast_to(whole, infinite.shape).astype(float),
            "fields": np.full(len(infinite), float(len(fields))),
            "points": np.full(len(infinite), float(points)),
        }

    def result(self, state: State) -> Any:
        """Refuses: the counts make notes, not a file of results."""
        raise TypeError("counts of values make notes, not a file of results")


def of_times(found: int, wanted: int) -> Iterable[str]:
    """Tells that candidates lack some of the truth's times."""
    if found < wanted:
        yield f"{found} of {wanted} times are in all candidates: only these are evaluated"


def of_bounds(origins: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """Tells which sources had values below a bound set to it when they were predicted.

    Args:
        origins: What the sources were opened from, by name; ``minimum`` where there was a bound.
    """
    for name, origin in origins.items():
        bound = origin.get("minimum")
        if bound is not None:
            yield f"candidate {name} was predicted with values below {bound:g} set to {bound:g}"


def of_window(
    truth: Source, aligned: AlignedSource, candidates: Mapping[str, Source]
) -> Iterable[str]:
    """Tells which part of the truth's grid the candidates leave, and if it is still the globe."""
    whole, part = truth.grid, aligned.grid
    if part.shape != whole.shape:
        less = [
            name
            for name, source in candidates.items()
            if covered(whole, source.grid, name) != whole.shape
        ]
        lost = [
            f"{there} of {all_} {axis}"
            for there, all_, axis in zip(part.shape, whole.shape, ("rows", "columns"))
            if there < all_
        ]
        yield (
            f"{' and '.join(lost)} of the truth are evaluated{_extent(part)}: "
            f"{_listed('candidate', less)} no others"
        )
    completion = part.completion
    if completion is not None and completion.missing:
        rows = "row" if completion.missing == 1 else "rows"
        yield (
            f"{completion.missing} of the globe's {completion.grid.shape[0]} rows, "
            f"{100 * completion.missing_area:.2g} % of its area, "
            f"{'is' if completion.missing == 1 else 'are'} not among the fields: scores are taken "
            f"without the {rows}, spectra of the whole sphere, the {rows} filled across the pole"
        )
    elif completion is None and whole.is_sphere:
        yield "what all candidates have is no globe: its spectra are those of a region"


def _extent(grid: Grid) -> str:
    if not grid.has_coordinates:
        return ""
    (first, last), (west, east) = grid.latitudes[[0, -1]], grid.longitudes[[0, -1]]
    return f" ({first:g}…{last:g} N, {west:g}…{east:g} E)"


def _listed(kind: str, names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{kind} {names[0]} has"
    return f"{kind}s {', '.join(names)} have"


def of_statistics(
    chosen: Sequence[type[Statistic]], settings: Sequence[Setting], skipped: Sequence[str]
) -> Iterable[str]:
    """Tells which statistics are left out, everywhere or in some regions.

    Args:
        chosen: The statistics that are taken.
        settings: Of the whole domain, then of the regions.
        skipped: Names and reasons of those that could be taken nowhere.
    """
    for text in skipped:
        yield f"left out: {text}"
    regions = settings[1:]
    if regions:
        names = [kind.name for kind in chosen if not any(kind.takes(s) for s in regions)]
        if names:
            yield f"taken of the whole fields only, not in regions: {', '.join(names)}"
    for setting in settings:
        where = f"in {setting.domain.name}: " if setting.domain.name else ""
        for kind in chosen:
            reason = kind.refusal(setting) if kind.takes(setting) else None
            if reason is not None:
                yield f"{where}no {kind.name.replace('_', ' ')}, {reason}"
            elif kind.takes(setting) and kind.omission(setting):
                yield f"{where}{kind.omission(setting)}"


def of_values(
    name: str, channels: Sequence[str], state: State, truth: State | None = None
) -> Iterable[str]:
    """Tells the infinite and the missing values of a source, and if no field is whole.

    Args:
        name: ``truth`` or the candidate's name.
        channels: Names of the channels.
        state: The state of :class:`Values`.
        truth: The truth's; a candidate that lacks no more than it is not named.
    """
    who = "the truth" if name == TRUTH else f"candidate {name}"
    for c, channel in enumerate(channels):
        infinite, missing, points = (state[key][c] for key in ("infinite", "missing", "points"))
        if infinite:
            yield (
                f"{who} has {infinite:,.0f} infinite value{'s' if infinite > 1 else ''} of "
                f"{channel}: they count as missing"
            )
        if missing <= (0 if truth is None else truth["missing"][c]):
            continue
        share = _percent(missing, points)
        whole, fields = int(state["whole"][c]), int(state["fields"][c])
        consequence = (
            "no field is whole, so there are no spectra of it; a --region without missing values "
            "has them"
            if not whole
            else f"spectra are taken of the {whole} of {fields} fields without any"
        )
        if whole < fields:
            yield f"{who} lacks {share} of the values of {channel}: {consequence}"


def of_common_points(channels: Sequence[str], truth: State, earlier: bool) -> Iterable[str]:
    """Tells how much of the truth is left out because a candidate lacks it.

    Args:
        channels: Names of the channels.
        truth: The truth's state of :class:`Values`.
        earlier: Results of other candidates were there before.
    """
    for c, channel in enumerate(channels):
        left_out = truth["left out"][c]
        if left_out:
            yield (
                f"{_percent(left_out, truth['points'][c])} of the truth's values of {channel} are "
                "lacking in a candidate: truth and candidates are compared on the points that all "
                "of them have"
            )
    if earlier and truth["left out"].any():
        yield (
            "results that were there before are of more points: --overwrite takes all of them on "
            "the common points"
        )


def _counts(mask: np.ndarray | None, points: int, channels: int) -> np.ndarray:
    """Counts the values of each channel in a mask (n, C, H, W); all points without a mask."""
    if mask is None:
        return np.full(channels, float(points))
    return np.count_nonzero(mask, axis=(0, 2, 3)).astype(float)


def _percent(part: float, whole: float) -> str:
    percent = 100 * part / whole
    return f"{percent:.2g} %" if percent < 10 else f"{percent:.0f} %"
