"""Which figures a folder of results gives: their names, titles, captions, and how to draw them."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator

import numpy as np
from matplotlib.figure import Figure

from phire.evaluation.definitions import definition
from phire.evaluation.figures.cities import city_distance_figure, city_map_figure
from phire.evaluation.figures.distributions import (
    box_figure,
    density_figure,
    error_figure,
    quantile_figure,
)
from phire.evaluation.figures.ensembles import ensemble_figure, reliability_figure
from phire.evaluation.figures.images import has_coordinates, is_global
from phire.evaluation.figures.maps import map_figure
from phire.evaluation.figures.panels import coarse_input, panel_figure, time_text
from phire.evaluation.figures.reading import ResultsFolder, values_of
from phire.evaluation.figures.scores import score_figure, series_of
from phire.evaluation.figures.semivariogram import direction_figure, semivariogram_figure
from phire.evaluation.figures.skill import (
    fractions_skill_figure,
    large_error_figure,
    projection_figure,
)
from phire.evaluation.figures.spectra import coherence_figure, spectrum_figure, zonal_figure
from phire.evaluation.figures.style import TRUTH, readable

GROUPS = {
    "spectra": "Spectra",
    "semivariograms": "Semivariograms",
    "panels": "Fields",
    "scores": "Scores over time",
    "distributions": "Distributions",
    "maps": "Maps",
    "cities": "Cities",
    "skill": "Skill by scale",
    "ensembles": "Ensembles",
}
"""The groups of figures in the order of the report, and their headings."""

ZOOMS = {
    "North Atlantic": (65.0, -70.0, 30.0, -10.0),
    "East Asia": (52.0, 100.0, 17.0, 160.0),
    "Southern Ocean": (-35.0, 20.0, -65.0, 80.0),
}
"""Regions (north, west, south, east) shown of global fields where the evaluation named none."""

MOST_TIMES = 3
"""Whole fields are drawn at no more than this many of the times kept."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A figure that can be drawn.

    Attributes:
        name: The file's name without its ending.
        group: One of :data:`GROUPS`.
        title: What it shows, in a line.
        caption: How to read it.
        draw: Draws it.
    """

    name: str
    group: str
    title: str
    caption: str
    draw: Callable[[], Figure]


def plans(folder: ResultsFolder) -> list[Plan]:
    """All figures that the results give, in the order of the report."""
    found: list[Plan] = []
    for planner in (
        _spectra,
        _semivariograms,
        _panels,
        _scores,
        _distributions,
        _maps,
        _cities,
        _skill,
        _ensembles,
    ):
        found += planner(folder)
    return found


def _spectra(folder: ResultsFolder) -> Iterator[Plan]:
    for metric in ("spectrum", "localized_spectrum"):
        for region in folder.regions_of(metric):
            data = folder.metric(metric, region)
            of = _in(region) + (" (multitaper)" if metric == "localized_spectrum" else "")
            draw = functools.partial(spectrum_figure, data, styles=folder.styles)
            caption = (
                "Black is the truth; a candidate that follows it has the right amount of detail at "
                "every scale. Below: ratio to the truth; the shaded band is 0.5 … 2. Right: the "
                "short waves, where super-resolution has to add what the coarse grid (dotted line) "
                "does not hold. Grey lines: reference slopes."
            )
            if any("kinetic_energy" in dataset for dataset in data.values()):
                title = f"Kinetic energy spectrum{of}"
                yield Plan(
                    _name(metric, "kinetic-energy", region),
                    "spectra",
                    title,
                    caption,
                    functools.partial(draw, variable="kinetic_energy", title=title),
                )
            for channel in values_of(data, "channel"):
                title = f"Spectrum of {readable(channel)}{of}"
                yield Plan(
                    _name(metric, channel, region),
                    "spectra",
                    title,
                    caption,
                    functools.partial(draw, variable="variance", channel=channel, title=title),
                )
            for variable, channels in (
                ("kinetic_energy_coherence", [None]),
                ("coherence", values_of(data, "channel")),
            ):
                if not any(variable in dataset for dataset in data.values()):
                    continue
                for channel in channels:
                    what = readable(channel or "kinetic energy")
                    yield Plan(
                        _name("coherence", channel or "kinetic-energy", region),
                        "spectra",
                        f"Spectral coherence of {what}{of}",
                        "1 means that waves of this length lie where the truth's do, 0 that they "
                        "lie anywhere. Detail with the right energy but without coherence is "
                        "plausible, not right.",
                        functools.partial(
                            coherence_figure, data, channel=channel, styles=folder.styles
                        ),
                    )
    data = folder.metric("zonal_spectrum")
    for channel in values_of(data, "channel"):
        yield Plan(
            _name("zonal-spectrum", channel),
            "spectra",
            f"Zonal spectra of {readable(channel)}",
            "Waves along circles of latitude, averaged over bands. Read as the other spectra.",
            functools.partial(zonal_figure, data, channel=channel, styles=folder.styles),
        )


def _semivariograms(folder: ResultsFolder) -> Iterator[Plan]:
    for region in folder.regions_of("semivariogram"):
        data = folder.metric("semivariogram", region)
        for channel in values_of(data, "channel"):
            title = f"Semivariogram of {readable(channel)}{_in(region)}"
            yield Plan(
                _name("semivariogram", channel, region),
                "semivariograms",
                title,
                "How much two places differ with the distance between them. Too low at short "
                "distances means too smooth; shaded: 95 % interval where it was computed.",
                functools.partial(
                    semivariogram_figure, data, channel=channel, styles=folder.styles, title=title
                ),
            )
            if any("semivariogram_zonal" in dataset for dataset in data.values()):
                title = f"Semivariogram of {readable(channel)} by direction{_in(region)}"
                yield Plan(
                    _name("semivariogram-direction", channel, region),
                    "semivariograms",
                    title,
                    "As before, for pairs that lie east and west, or north and south, of each "
                    "other: a candidate should have the truth's anisotropy, too.",
                    functools.partial(
                        direction_figure, data, channel=channel, styles=folder.styles, title=title
                    ),
                )


def _panels(folder: ResultsFolder) -> Iterator[Plan]:
    data = folder.metric("samples")
    if TRUTH not in data or "field" not in data[TRUTH]:
        return
    truth = data[TRUTH]["field"]
    regions = folder.boxes
    if not regions and has_coordinates(truth) and is_global(truth):
        regions = ZOOMS
    caption = (
        "Above: truth, coarse input and candidates, in colours fixed by the truth. Below: "
        "candidate minus truth; all errors share one range."
    )
    for channel in values_of(data, "channel"):
        for time in range(min(truth.sizes.get("time", 1), MOST_TIMES)):
            when = time_text(truth, time)
            coarse = coarse_input(data[TRUTH], channel, time)
            draw = functools.partial(panel_figure, data, channel=channel, time=time, coarse=coarse)
            title = f"{_capital(channel)}{when}"
            number = f"{time + 1}" if time else ""
            yield Plan(
                _name("panels", channel, number), "panels", title, caption,
                functools.partial(draw, title=title),
            )  # fmt: skip
            if time:
                continue
            for region, box in regions.items():
                title = f"{_capital(channel)}, {region}{when}"
                yield Plan(
                    _name("panels", channel, region),
                    "panels",
                    title,
                    caption + " The rectangle shows where the region lies.",
                    functools.partial(draw, region=box, title=title),
                )


def _scores(folder: ResultsFolder) -> Iterator[Plan]:
    caption = (
        "Thin: each field; thick: running mean. The arrow at each panel says which direction is "
        "better. Pixel scores punish detail that is slightly displaced twice; read them beside the "
        "spectra."
    )
    for metric in ("scores", "learned", "ensemble"):
        for region in folder.regions_of(metric):
            data = folder.metric(metric, region)
            for channel in [*values_of(data, "channel"), None]:
                if not series_of(data, channel):
                    continue
                of = f" of {readable(channel)}" if channel is not None else ""
                what = {"learned": "Learned distance", "ensemble": "Ensemble scores"}.get(metric)
                title = f"{what or 'Scores'}{of} over time{_in(region)}"
                yield Plan(
                    _name(metric, "time", channel or "", region),
                    "scores",
                    title,
                    caption,
                    functools.partial(
                        score_figure, data, channel=channel, styles=folder.styles, title=title
                    ),
                )


def _distributions(folder: ResultsFolder) -> Iterator[Plan]:
    for region in folder.regions_of("distribution"):
        data = folder.metric("distribution", region)
        channels = values_of(data, "channel")
        variables = {name for dataset in data.values() for name in dataset.data_vars}
        for channel in channels:
            of = f"{readable(channel)}{_in(region)}"
            if "density" in variables:
                yield Plan(
                    _name("distribution", channel, region),
                    "distributions",
                    f"Distribution of {of}",
                    "How often each value occurs: left the bulk, right the tails on a logarithmic "
                    "axis. Smoothing shows as missing tails.",
                    functools.partial(density_figure, data, channel=channel, styles=folder.styles),
                )
            if "quantile_value" in data.get(TRUTH, ()):
                yield Plan(
                    _name("quantiles", channel, region),
                    "distributions",
                    f"Quantiles of {of} against the truth's",
                    "On the diagonal (left) and on zero (right) candidate and truth have the same "
                    "distribution. A slope below the diagonal's means too few extremes.",
                    functools.partial(quantile_figure, data, channel=channel, styles=folder.styles),
                )
            if "error_density" in variables:
                yield Plan(
                    _name("errors", channel, region),
                    "distributions",
                    f"Errors of {of}",
                    "How often each error (candidate minus truth) occurs: narrow and centred on "
                    "zero is good; the right panel shows the large ones.",
                    functools.partial(error_figure, data, channel=channel, styles=folder.styles),
                )
        if "quantile_value" in variables:
            yield Plan(
                _name("boxes", region),
                "distributions",
                f"Quantiles{_in(region)}",
                "Box: 25–75 %, thick line: median, whiskers: 2–98 %.",
                functools.partial(box_figure, data, channels=channels, styles=folder.styles),
            )


def _maps(folder: ResultsFolder) -> Iterator[Plan]:
    data = folder.metric("maps")
    captions = {
        "mean": "Above: means over time. Below: candidate minus truth, that is the bias.",
        "std": "Above: standard deviations over time. Below: candidate minus truth; blue means too "
        "little variability.",
        "rmse": "Where each candidate errs most; all share one range.",
        "correlation": "Correlation in time with the truth at each place.",
    }
    for channel in values_of(data, "channel"):
        for variable, caption in captions.items():
            if not any(variable in dataset for dataset in data.values()):
                continue
            title = f"{definition(variable).title} of {readable(channel)} over time"
            yield Plan(
                _name("map", variable, channel), "maps", title, caption,
                functools.partial(
                    map_figure, data, variable=variable, channel=channel, title=title
                ),
            )  # fmt: skip


def _cities(folder: ResultsFolder) -> Iterator[Plan]:
    data = folder.metric("cities")
    if not any("wasserstein" in dataset for dataset in data.values()):
        return
    sizes = [int(size) for size in np.atleast_1d(values_of(data, "size"))]
    for channel in values_of(data, "channel"):
        yield Plan(
            _name("cities", channel),
            "cities",
            f"Distances of the distributions of {readable(channel)} at cities",
            "Share of the cities at which the Wasserstein-1 distance to the truth lies below a "
            "value, for the nearest grid point and squares around it: further left is better.",
            functools.partial(city_distance_figure, data, channel=channel, styles=folder.styles),
        )
        for size in sizes[:1]:
            yield Plan(
                _name("cities-map", channel, f"{size}x{size}"),
                "cities",
                f"Best candidate for {readable(channel)} at each city",
                "The colour is that of the candidate whose distribution is the nearest to the "
                "truth's by more than 10 %; grey where none is.",
                functools.partial(
                    city_map_figure, data, channel=channel, size=size, styles=folder.styles
                ),
            )


def _skill(folder: ResultsFolder) -> Iterator[Plan]:
    for metric, variable, draw, title, caption in (
        (
            "fractions_skill_score",
            "fractions_skill_score",
            fractions_skill_figure,
            "Fractions skill score",
            "Whether extremes occur in about the right place: 1 is perfect; larger squares forgive "
            "larger displacement. Dotted: 0.5.",
        ),
        (
            "high_pass",
            "exceedance",
            large_error_figure,
            "Large errors",
            "The share of the area where the error of the small scales exceeds a multiple of the "
            "truth's standard deviation; lower is better.",
        ),
    ):
        data = folder.metric(metric)
        if not any(variable in dataset for dataset in data.values()):
            continue
        for channel in values_of(data, "channel"):
            yield Plan(
                _name(metric, channel),
                "skill",
                f"{title} of {readable(channel)}",
                caption,
                functools.partial(draw, data, channel=channel, styles=folder.styles),
            )
    data = folder.metric("projections")
    if any("wasserstein_mean" in dataset for dataset in data.values()):
        yield Plan(
            "projections",
            "skill",
            "Distances of projected fields",
            "Fields projected on random directions and on the truth's principal components: "
            "distances of what remains.",
            functools.partial(projection_figure, data, styles=folder.styles),
        )


def _ensembles(folder: ResultsFolder) -> Iterator[Plan]:
    data = folder.metric("ensemble")
    variables = {name for dataset in data.values() for name in dataset.data_vars}
    for channel in values_of(data, "channel"):
        if "rank_histogram" in variables:
            yield Plan(
                _name("ensemble", channel),
                "ensembles",
                f"Spread and ranks of ensembles of {readable(channel)}",
                "Left: on the diagonal the spread tells the error. Right: a flat line means that "
                "the truth is like a member; a U means too little spread.",
                functools.partial(ensemble_figure, data, channel=channel, styles=folder.styles),
            )
        if "observed_frequency" in variables:
            yield Plan(
                _name("reliability", channel),
                "ensembles",
                f"Reliability of ensembles of {readable(channel)}",
                "On the diagonal, events occur as often as they were given probability.",
                functools.partial(reliability_figure, data, channel=channel, styles=folder.styles),
            )


def _name(*parts: str) -> str:
    words = [re.sub(r"[^\w.+-]+", "-", str(part)).strip("-") for part in parts if part]
    return "-".join(words).replace("_", "-")


def _in(region: str) -> str:
    return f", {region}" if region else ""


def _capital(channel: str) -> str:
    text = readable(channel)
    return text[:1].upper() + text[1:] if len(text) > 3 else text
