"""Fields of a few times, kept for image panels."""

from __future__ import annotations

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import Batch, Setting, State, Statistic, register

KEPT = 3
"""Times kept: evenly spread, away from the ends."""


@register
class Samples(Statistic):
    """The fields themselves at a few times; of an ensemble, its first member's."""

    name = "samples"
    series = ("times", "fields")

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        count = len(setting.time)
        places = (np.arange(KEPT) + 0.5) / KEPT * count
        self.chosen = np.unique(places.astype(np.int64))

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """The fields of the chosen times among these."""
        fields = truth if candidate is None else candidate
        here = np.isin(truth.times, self.chosen)
        if not here.any():
            return {}
        planes = self.domain.cut(fields.planes[here]).astype(np.float32)
        return {"times": truth.times[here], "fields": planes}

    def result(self, state: State) -> xr.Dataset:
        """``field(channel, time, latitude, longitude)`` and the truth's range."""
        # Members follow one another: the first of each time is kept.
        times, places = np.unique(state["times"], return_index=True)
        dimensions = ("channel", "time", *self.plane_dimensions)
        dataset = xr.Dataset(coords=self.coordinates("channel", *self.plane_dimensions))
        dataset["time"] = self.time_coordinate(times)
        dataset["field"] = (dimensions, np.moveaxis(state["fields"][places], 1, 0), self.units())
        facts = self.setting.facts
        low, high = facts.quantiles((0.001, 0.999))
        dataset["minimum"] = ("channel", low, {"long_name": "0.1 % quantile of the truth"})
        dataset["maximum"] = ("channel", high, {"long_name": "99.9 % quantile of the truth"})
        dataset["channel_units"] = ("channel", np.array(self.setting.units, dtype=object))
        return dataset
