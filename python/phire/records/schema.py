"""Schema of samples, for pair records and downscaling records: arrays, channels, units, shapes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from phire.fields.curvilinear import grid_from_dict
from phire.fields.grid import Grid
from phire.fields.normalization import Normalization

PAIRS, DOWNSCALING = "pairs", "downscaling"
TARGET = {PAIRS: "first", DOWNSCALING: "high"}
"""Main array of each kind of records; :attr:`SampleSchema.channels` and others refer to it."""
PRESENCE = {"valid": "high", "low_valid": "low"}
"""Arrays that are 1 where a value of another array is present, else 0, with that array's name."""
COMPUTED = {**PRESENCE, "context": "low"}
"""All arrays that are computed from another array of the sample, with that array's name."""


@dataclasses.dataclass(frozen=True)
class SampleArray:
    """One array of a sample.

    Attributes:
        channels: Names of the channels along the last axis; a scalar has one.
        units: Units of the physical values of each channel.
        shape: Shape without the batch axis.
        spacing: (rows, columns) distance of points in degrees; None without coordinates and for
            arrays that are not maps.
        offsets: Times of the array's steps relative to the sample's time, in steps; for ``second``
            of pairs, all lags that occur.
        normalization: Normalization of the stored values; None if they are not normalised.
        climatologies: Summaries of the climatologies that turned normalised values into
            standardised anomalies, each with ``channels``, ``statistics_of``, ``harmonics``,
            ``months`` and a ``fingerprint`` of its arrays. The arrays are in a file beside the
            schema (see :mod:`phire.records.anomalies`).
    """

    channels: tuple[str, ...]
    units: tuple[str, ...]
    shape: tuple[int, ...]
    spacing: tuple[float, float] | None = None
    offsets: tuple[int, ...] = (0,)
    normalization: Normalization | None = None
    climatologies: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "climatologies", tuple(self.climatologies))
        for name in ("channels", "units", "shape", "offsets", "spacing"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else tuple(value))
        if len(self.channels) != len(self.units):
            raise ValueError(f"{len(self.units)} units for {len(self.channels)} channels")

    def to_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        value = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        value["normalization"] = self.normalization and self.normalization.to_dict()
        if not self.climatologies:
            del value["climatologies"]  # the form of records made before climatologies existed
        return value

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> SampleArray:
        """Inverts :meth:`to_dict`."""
        found = value.get("normalization")
        return cls(**{**value, "normalization": found and Normalization.from_dict(found)})


@dataclasses.dataclass(frozen=True, eq=False)
class SampleSchema:
    """Arrays of a sample, and the metadata that they share.

    The manifest of records holds the schema, a network's shapes are derived from it, and prediction
    checks its inputs against it.

    Attributes:
        kind: ``pairs`` or ``downscaling``.
        arrays: The arrays by name. Pairs: ``first``, ``second``, ``label``, ``position``.
            Downscaling: ``low``, ``high`` and optionally ``static``, ``auxiliary``, ``time``,
            ``position``, ``valid``, ``low_valid``, ``context`` (the area means of the whole
            normalised coarse field over a small number of cells).
        classes: Pairs: the largest lag in steps; labels count from 1.
        scale: Downscaling: fine points per coarse point, along each axis.
        alignment: Downscaling: ``cell`` (a coarse point is its block's centre) or ``corner`` (its
            first point).
        pooling: Downscaling: origin of ``low``: ``area-mean`` (of the targets) or ``explicit``
            (read from files).
        margin: Coarse points of context on each side of ``low``.
        window: Time steps of ``low``, ``high`` and ``auxiliary``; None for single fields.
        domain: Grid of all fine points that patches are cut from; ``position`` refers to it.
        padding: Number of rows and columns at the end of ``domain`` that complete its last blocks.
            The fine fields lack them, and ``valid`` is 0 there.
        step: Time step in seconds; without a calendar, in steps.
        calendar: CF calendar of the times; None without dates.
    """

    kind: str
    arrays: Mapping[str, SampleArray]
    classes: int | None = None
    scale: int | None = None
    alignment: str | None = None
    pooling: str | None = None
    margin: int = 0
    window: int | None = None
    domain: Grid | None = None
    padding: tuple[int, int] = (0, 0)
    step: int | None = None
    calendar: str | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SampleSchema) and self.to_dict() == other.to_dict()

    __hash__ = None

    @property
    def target(self) -> SampleArray:
        """Main array of the records: ``high``, or ``first`` of pairs."""
        return self.arrays[TARGET[self.kind]]

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels of :attr:`target`."""
        return self.target.channels

    @property
    def units(self) -> tuple[str, ...]:
        """Units of :attr:`target`."""
        return self.target.units

    @property
    def normalization(self) -> Normalization:
        """Normalization of :attr:`target`."""
        return self.target.normalization

    @property
    def climatologies(self) -> dict[str, tuple[Mapping[str, Any], ...]]:
        """Summaries of the climatologies, by the name of the array that has any."""
        return {n: array.climatologies for n, array in self.arrays.items() if array.climatologies}

    @property
    def patch(self) -> tuple[int, int]:
        """(H, W) of :attr:`target`."""
        return self.target.shape[-3:-1]

    @property
    def low_patch(self) -> tuple[int, int]:
        """(h, w) of ``low``, including its margin."""
        return self.arrays["low"].shape[-3:-1]

    @property
    def context(self) -> tuple[int, int] | None:
        """(h, w) of ``context``; None if the samples have none."""
        found = self.arrays.get("context")
        return None if found is None else found.shape[-3:-1]

    @property
    def unpadded_domain(self) -> Grid | None:
        """Grid of the fine fields: :attr:`domain` without its padding."""
        if self.domain is None or not any(self.padding):
            return self.domain
        return self.domain.subgrid(
            *(slice(0, size - n) for size, n in zip(self.domain.shape, self.padding))
        )

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Spacing of :attr:`target`."""
        return self.target.spacing

    def to_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        value = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        value["arrays"] = {name: array.to_dict() for name, array in self.arrays.items()}
        return {**value, "domain": self.domain and self.domain.to_dict()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> SampleSchema:
        """Inverts :meth:`to_dict`."""
        domain = value.get("domain")
        arrays = {name: SampleArray.from_dict(array) for name, array in value["arrays"].items()}
        padding = tuple(value.get("padding", (0, 0)))  # missing in records made before padding
        domain = domain and grid_from_dict(domain)
        return cls(**{**value, "arrays": arrays, "domain": domain, "padding": padding})
