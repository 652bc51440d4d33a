"""Check that thresholds and observations have the units of the truth."""

from __future__ import annotations

import numpy as np

from phire.errors import InputError
from phire.evaluation.setting import Setting, TruthMoments


def check_given_units(setting: Setting, truth_moments: TruthMoments) -> None:
    """Checks thresholds and observations of quantities that stay far from 0, such as temperature.

    Temperatures are in K after reading, also those of files in °C, so that a threshold of 30 or a
    table of stations in °C would be wrong by 273 K without a sign. Rain and other quantities near 0
    have no such check: a station may well be outside the range of the fields.

    Args:
        setting: Setting of the whole domain.
        truth_moments: Moments of the truth there.

    Raises:
        InputError: A threshold is below half of the truth's minimum, or all observations of a
            channel are below it, or above twice the maximum.
    """
    stations = setting.stations
    for c, (name, units) in enumerate(zip(setting.channels, setting.units)):
        low, high = float(truth_moments.minimum[c]), float(truth_moments.maximum[c])
        if not 0 < high < 2 * low:
            continue
        least, greatest = low / 2, 2 * high
        text = f"the truth's values are {low:.4g} to {high:.4g} {units}"
        for value in setting.thresholds.get(name, ()):
            if value < least:
                raise InputError(f"--thresholds {name}={value:g}: {text}: give it in {units}.")
        observed = np.array([]) if stations is None else stations.observed[..., c]
        observed = observed[np.isfinite(observed)]
        if observed.size and (observed.max() < least or observed.min() > greatest):
            raise InputError(
                f"--stations: the observations of {name} are {observed.min():.4g} to "
                f"{observed.max():.4g}, but {text}: give them in {units}."
            )
