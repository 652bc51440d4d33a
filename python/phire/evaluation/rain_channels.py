"""Detection of the channels that are precipitation, and of the value from which a point is wet."""

from __future__ import annotations

import re

from phire.evaluation.setting import Setting
from phire.fields.units import conversion

NAME = re.compile(
    r"(^|_)(pr|rr|tp|apcp|prcp|prec|precip\w*|precipitation\w*|rain\w*|qpe\w*)($|_|\d)",
    re.IGNORECASE,
)
"""Pattern of names of precipitation, as used by CMIP, ERA5, E-OBS, GHCN and radars."""

WET = 1.0
"""Amount (mm) or rate (mm/day) from which a point is wet, as in ETCCDI's R1mm."""


def wet_values(setting: Setting) -> dict[int, float]:
    """Returns the value from which a point is wet for each channel of precipitation.

    A channel is precipitation if its name or standard name says so, and its units are those of an
    amount (mm, kg m-2, m) or of a rate. A point is wet from 1 mm or 1 mm/day on.

    Returns:
        The values in the units of the channels, by index of the channel.
    """
    standard = setting.standard_names or ("",) * len(setting.channels)
    found = {}
    for c, (name, units) in enumerate(zip(setting.channels, setting.units)):
        if "precipitation" not in standard[c] and "rainfall" not in standard[c]:
            if not NAME.search(name):
                continue
        scales = (conversion(wanted, units) for wanted in ("mm", "mm day-1") if units)
        factor = next((scale for scale in scales if scale is not None), None)
        if factor is not None:
            found[c] = WET * factor[0]
    return found


def lacks_rain(setting: Setting) -> str | None:
    """Returns the reason why there are no statistics of rain, as a clause; None if there are."""
    if wet_values(setting):
        return None
    return (
        "no channel is precipitation, by a name such as pr or a standard name, in mm, kg m-2 or a "
        "rate of these"
    )
