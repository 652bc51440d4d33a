"""Conversion of a records schema to the shapes that network builders take."""

from __future__ import annotations

from phire.networks import Shapes
from phire.records.schema import SampleSchema
from phire.records.station_gridding import MASK, PREFIX

PERIODS = {"hour": 24.0, "day": 365.2425}
"""Periods of the covariates of :mod:`phire.fields.covariates`, in hours and days."""


def shapes_of(schema: SampleSchema) -> Shapes:
    """Returns the shapes of a schema's arrays for a network builder."""
    channels = {name: array.shape[-1] for name, array in schema.arrays.items() if array.shape}
    return Shapes.of(
        (*schema.low_patch, channels["low"]),
        (*schema.patch, channels["high"]),
        scale=schema.scale,
        static=channels.get("static", 0),
        auxiliary=channels.get("auxiliary", 0),
        time=channels.get("time", 0),
        window=schema.window,
        margin=schema.margin,
        domain=None if schema.domain is None else tuple(schema.domain.shape),
        periods=_periods(schema),
        stations=_stations(schema),
        context_size=schema.context,
    )


def _periods(schema: SampleSchema) -> tuple[float, ...]:
    """Returns the period of each time covariate; empty if any is unknown."""
    time = schema.arrays.get("time")
    names = [] if time is None else [name.removesuffix("_sine") for name in time.channels[::2]]
    return tuple(PERIODS[name] for name in names) if {*names} <= {*PERIODS} else ()


def _stations(schema: SampleSchema) -> tuple[tuple[int, int], ...]:
    """Returns the channels of ``auxiliary`` with each station variable's values and mask."""
    auxiliary = schema.arrays.get("auxiliary")
    names = () if auxiliary is None else auxiliary.channels
    return tuple(
        (channel, names.index(name + MASK))
        for channel, name in enumerate(names)
        if name.startswith(PREFIX) and name + MASK in names
    )
