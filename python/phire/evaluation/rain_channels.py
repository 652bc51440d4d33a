"""The channels that are precipitation, and the values at which a point is called wet."""

from __future__ import annotations

import re

from phire.evaluation.accumulator import Setting
from phire.fields.units import conversion

NAME = re.compile(
    r"(^|_)(pr|rr|tp|apcp|prcp|prec|precip\w*|precipitation\w*|rain\w*|qpe\w*)($|_|\d)",
    re.IGNORECASE,
)
"""Names of channels that are precipitation, as CMIP, ERA5, E-OBS, GHCN and radars write them."""

WET = 1.0
"""Amount (mm), or rate (mm/day), from which a point is wet (ETCCDI's R1mm)."""


def wet_values(setting: Setting) -> dict[int, float]:
    """Returns the value at which each channel of precipitation is wet, by place of the channel.

    A channel is precipitation by its name or standard name and by units of an amount (mm, kg m-2,
    m) or of a rate; it is wet from 1 mm or 1 mm/day, in its units.
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
    """Returns why statistics of rain cannot be taken, as a clause; None where they can."""
    if wet_values(setting):
        return None
    return (
        "no channel is precipitation, by a name such as pr or a standard name, in mm, kg m-2 or a "
        "rate of these"
    )
