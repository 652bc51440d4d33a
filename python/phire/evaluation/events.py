"""Events: values above quantiles of the truth, or above thresholds in the channels' units."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import xarray as xr

from phire.evaluation.setting import Setting


@dataclasses.dataclass(frozen=True, eq=False)
class Events:
    """Thresholds of each channel, by label.

    Attributes:
        labels: ``90 %`` for a quantile of the truth, ``> 5`` for a threshold in units.
        limits: (E, C) thresholds; NaN if a channel has no such threshold, or has the same threshold
            under a later label.
    """

    labels: tuple[str, ...]
    limits: np.ndarray

    @classmethod
    def of(cls, setting: Setting, quantiles: Sequence[float]) -> Events:
        """Returns the events above quantiles of the truth and above ``setting.thresholds``.

        If several quantiles of a channel are equal, only the event of the highest level is defined.

        Args:
            setting: Setting whose ``truth_moments`` hold the truth's quantiles.
            quantiles: Levels between 0 and 1.
        """
        given = sorted({value for values in setting.thresholds.values() for value in values})
        limits = np.full((len(given), len(setting.channels)), np.nan)
        for channel, values in setting.thresholds.items():
            for value in values:
                limits[given.index(value), setting.channels.index(channel)] = value
        # In a channel that is mostly 0, several quantiles are 0: they would be the same event.
        of_truth = np.array(setting.truth_moments.quantiles(quantiles), np.float64)
        of_truth[:-1][of_truth[:-1] == of_truth[1:]] = np.nan
        labels = [f"{100 * level:g} %" for level in quantiles] + [f"> {v:g}" for v in given]
        return cls(tuple(labels), np.concatenate([of_truth, limits]))

    def __len__(self) -> int:
        return len(self.labels)

    def add_to(self, dataset: xr.Dataset, units: dict[str, str]) -> None:
        """Adds the coordinate ``event`` and the variable ``threshold(channel, event)``."""
        dataset["event"] = ("event", np.array(self.labels, dtype=object))
        dataset["threshold"] = (("channel", "event"), self.limits.T, units)


def exceeds(values: np.ndarray, limit: float) -> np.ndarray:
    """Returns booleans of the shape of ``values``: True where they are above a limit.

    numpy compares single-precision values with a double-precision limit in double precision, which
    takes ten times as long. The limit is rounded down to single precision instead, which does not
    change the result.
    """
    rounded = values.dtype.type(limit)
    if float(rounded) > limit:
        rounded = np.nextafter(rounded, values.dtype.type(-np.inf))
    return values > rounded
