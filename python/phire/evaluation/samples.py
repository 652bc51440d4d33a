"""Fields of a few times, stored for image panels."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.registry import statistic
from phire.evaluation.results import TRUTH
from phire.evaluation.setting import Setting

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

ZOOMS = {
    "North Atlantic": (65.0, -70.0, 30.0, -10.0),
    "East Asia": (52.0, 100.0, 17.0, 160.0),
    "Southern Ocean": (-35.0, 20.0, -65.0, 80.0),
}
"""Bounds (north, west, south, east) of the regions drawn if the evaluation names none."""

MOST_TIMES = 3
"""Largest number of stored times of which whole fields are drawn."""

KEPT = 3
"""Number of times stored, at the centres of equal parts of the time axis."""


@statistic("samples", function="sample_fields")
class Samples(Statistic):
    """Fields at a few times, for image panels; of an ensemble, those of the first member."""

    order = 140
    series = ("times", "fields")
    ensemble = "together"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        count = len(setting.time)
        places = (np.arange(KEPT) + 0.5) / KEPT * count
        self.chosen = np.unique(places.astype(np.int64))

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns the fields of the stored times that are in the batch."""
        fields = truth if candidate is None else candidate
        if isinstance(candidate, Ensemble):
            fields = candidate.each()[0]
        stored = np.isin(truth.times, self.chosen)
        if not stored.any():
            return {}
        planes = self.domain.cut(fields.planes[stored]).astype(np.float32)
        return {"times": truth.times[stored], "fields": planes}

    def result(self, state: State) -> xr.Dataset:
        """Returns ``field(channel, time, latitude, longitude)`` and the truth's range."""
        times, places = np.unique(state["times"], return_index=True)
        dimensions = ("channel", "time", *self.plane_dimensions)
        dataset = xr.Dataset(coords=self.coordinates("channel", *self.plane_dimensions))
        dataset["time"] = self.time_coordinate(times)
        dataset["field"] = (dimensions, np.moveaxis(state["fields"][places], 1, 0), self.units())
        truth_moments = self.setting.truth_moments
        low, high = truth_moments.quantiles((0.001, 0.999))
        dataset["minimum"] = ("channel", low, {"long_name": "0.1 % quantile of the truth"})
        dataset["maximum"] = ("channel", high, {"long_name": "99.9 % quantile of the truth"})
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.figure_plan import Plan, figure_name
        from phire.evaluation.figures.images import has_coordinates, is_global
        from phire.evaluation.figures.label_text import heading
        from phire.evaluation.figures.panel_plots import coarse_input, panel_figure, time_text
        from phire.evaluation.figures.results_reading import values_of

        data = folder.metric("samples")
        if TRUTH not in data or "field" not in data[TRUTH]:
            return
        truth = data[TRUTH]["field"]
        regions = folder.boxes
        if not regions and has_coordinates(truth) and is_global(truth):
            regions = ZOOMS
        for channel in values_of(data, "channel"):
            for time in range(min(truth.sizes.get("time", 1), MOST_TIMES)):
                when = time_text(truth, time)
                coarse = coarse_input(data[TRUTH], channel, time)
                draw = functools.partial(
                    panel_figure, data, channel=channel, time=time, coarse=coarse
                )
                caption = _caption(coarse is not None)
                title = f"{heading(channel)}{when}"
                number = f"{time + 1}" if time else ""
                yield Plan(
                    figure_name("panels", channel, number), "panels", title, caption,
                    functools.partial(draw, title=title), channel,
                )  # fmt: skip
                if time:
                    continue
                for region, box in regions.items():
                    title = f"{heading(channel)}, {region}{when}"
                    yield Plan(
                        figure_name("panels", channel, region),
                        "panels",
                        title,
                        caption + " The rectangle shows where the region lies.",
                        functools.partial(draw, region=box, title=title),
                        channel,
                        region,
                    )


def _caption(with_means: bool) -> str:
    """Returns the caption of image panels.

    Args:
        with_means: True if the block means of the truth are drawn.
    """
    means = (
        ", its block means (the input of runs and interpolations; candidates from files may "
        "have had another input)"
    )
    return (
        f"Above: truth{means if with_means else ''} and candidates (of ensembles the first "
        "member), with the colour range of the truth. Below: candidate minus truth, with one "
        "colour range for all."
    )
