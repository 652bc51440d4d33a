"""Notes of an evaluation: what it leaves out and why, for the console and the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch
from phire.evaluation.grouped_times import MEMBER_BYTES, WITHOUT_RANGES
from phire.evaluation.pairing import AlignedSource, covered
from phire.evaluation.results import TRUTH
from phire.evaluation.results_folder import ResultFile
from phire.evaluation.setting import Setting
from phire.fields.grid import Grid
from phire.fields.source import Source


class Values(Statistic):
    """Counts of missing and infinite values, and of fields without missing values, by channel.

    The counts are used in the notes only; there is no results file.
    """

    name = "values"
    ensemble = "mean"

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns the counts of a batch, each (C,).

        The key "left out" counts values that the source has, but another source lacks.
        """
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
        """Raises TypeError: the counts have no results file."""
        raise TypeError("the counts of missing values have no results file: use of_values()")


def of_times(found: int, wanted: int) -> Iterable[str]:
    """Yields a note if candidates lack some of the truth's times."""
    if found < wanted:
        yield f"{found} of {wanted} times are in all candidates: only these are evaluated"


def of_ranges(result: ResultFile, dataset: xr.Dataset) -> Iterable[str]:
    """Yields a note if ranges over members are left out because their states would be too large.

    Args:
        result: File of results of a statistic by groups of times.
        dataset: Contents of the file.
    """
    names = dataset.attrs.get(WITHOUT_RANGES)
    if names:
        where = f" in {result.region}" if result.region else ""
        yield (
            f"{result.metric} of {result.candidate}{where} has no range of the members of {names}: "
            f"their states would take more than {MEMBER_BYTES >> 20} MB each"
        )


def of_bounds(origins: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """Yields a note for each candidate whose predicted values were clipped at a lower bound.

    Args:
        origins: Recorded origin of each candidate; the key ``minimum`` is the bound, if any, and
            ``trace`` the amount below which values were set to it, if that is another.
    """
    for name, origin in origins.items():
        bound = origin.get("minimum")
        if bound is not None:
            least = origin.get("trace", bound)
            yield f"candidate {name} was predicted with values below {least:g} set to {bound:g}"


def of_window(
    truth: Source, aligned: AlignedSource, candidates: Mapping[str, Source]
) -> Iterable[str]:
    """Yields notes on the part of the truth's grid that all candidates cover.

    Args:
        truth: The truth on its whole grid.
        aligned: The truth on the common grid.
        candidates: Candidates by name, on their own grids.
    """
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
            f"{_listed('candidate', less)} not cover the rest"
        )
    completion = part.completion
    if completion is not None and completion.missing:
        rows = "row" if completion.missing == 1 else "rows"
        yield (
            f"{completion.missing} of the globe's {completion.grid.shape[0]} rows, "
            f"{100 * completion.missing_area:.2g} % of its area, "
            f"{'is' if completion.missing == 1 else 'are'} not in the files: scores leave out the "
            f"{rows}; spectra are those of the whole sphere, with the {rows} filled across the pole"
        )
    elif completion is None and whole.is_sphere:
        yield "the part that all candidates cover is not global: its spectra are those of a region"


def _extent(grid: Grid) -> str:
    """Returns the grid's latitudes and longitudes in parentheses; empty without coordinates."""
    if not grid.has_coordinates:
        return ""
    (first, last), (west, east) = grid.latitudes[[0, -1]], grid.longitudes[[0, -1]]
    return f" ({first:g}…{last:g} N, {west:g}…{east:g} E)"


def _listed(kind: str, names: Sequence[str]) -> str:
    """Returns a text such as "candidate A does" or "candidates A, B do"."""
    if len(names) == 1:
        return f"{kind} {names[0]} does"
    return f"{kind}s {', '.join(names)} do"


def of_statistics(
    chosen: Sequence[type[Statistic]], settings: Sequence[Setting], skipped: Sequence[str]
) -> Iterable[str]:
    """Yields notes on statistics that are left out, everywhere or in some regions.

    Args:
        chosen: The statistics that are computed.
        settings: Setting of the whole domain, then those of the regions.
        skipped: Texts "name: reason" of statistics that are computed nowhere.
    """
    for text in skipped:
        yield f"left out: {text}"
    regions = settings[1:]
    if regions:
        names = [kind.name for kind in chosen if not any(kind.applies_to(s) for s in regions)]
        if names:
            yield f"computed for whole fields only, not in regions: {', '.join(names)}"
    for setting in settings:
        where = f"in {setting.domain.name}: " if setting.domain.name else ""
        for kind in chosen:
            reason = kind.refusal(setting) if kind.applies_to(setting) else None
            if reason is not None:
                yield f"{where}no {kind.name.replace('_', ' ')}, {reason}"
            elif kind.applies_to(setting) and kind.omission(setting):
                yield f"{where}{kind.omission(setting)}"


def of_values(
    name: str, channels: Sequence[str], state: State, truth: State | None = None
) -> Iterable[str]:
    """Yields notes on infinite and missing values of a source, and their effect on spectra.

    Args:
        name: ``truth`` or the candidate's name.
        channels: Names of the channels.
        state: State of :class:`Values` of the source.
        truth: State of :class:`Values` of the truth; a candidate with no more missing values than
            the truth has no note. None for the truth itself.
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
            "there are no spectra, which need fields without missing values; name a --region "
            "without missing values"
            if not whole
            else f"spectra use the {whole} of {fields} fields without missing values"
        )
        if whole < fields:
            yield f"{who} lacks {share} of the values of {channel}: {consequence}"


def of_common_points(channels: Sequence[str], truth: State, earlier: bool) -> Iterable[str]:
    """Yields notes on values of the truth that are left out because a candidate lacks them.

    Args:
        channels: Names of the channels.
        truth: State of :class:`Values` of the truth.
        earlier: True if the folder has results of an earlier evaluation, of other candidates.
    """
    for c, channel in enumerate(channels):
        left_out = truth["left out"][c]
        if left_out:
            yield (
                f"{_percent(left_out, truth['points'][c])} of the truth's values of {channel} are "
                "missing in a candidate: truth and candidates are compared on the points that all "
                "of them have"
            )
    if earlier and truth["left out"].any():
        yield (
            "earlier results in this folder were computed on more points: pass --overwrite to "
            "evaluate all candidates on the common points"
        )


def _counts(mask: np.ndarray | None, points: int, channels: int) -> np.ndarray:
    """Counts the values of each channel in a mask (n, C, H, W); all points without a mask."""
    if mask is None:
        return np.full(channels, float(points))
    return np.count_nonzero(mask, axis=(0, 2, 3)).astype(float)


def _percent(part: float, whole: float) -> str:
    """Returns a share as a text in percent, with two digits below 10 %."""
    percent = 100 * part / whole
    return f"{percent:.2g} %" if percent < 10 else f"{percent:.0f} %"
