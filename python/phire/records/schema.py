"""Sample schema: the arrays of a sample and what they mean, of pairs and of downscaling alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from phire.fields.curvilinear import grid_from_dict
from phire.fields.grid import Grid
from phire.fields.normalization import Normalization

PAIRS, DOWNSCALING = "pairs", "downscaling"
TARGET = {PAIRS: "first", DOWNSCALING: "high"}
"""The array that stands for a kind of records, where only one is meant."""
PRESENCE = {"valid": "high", "low_valid": "low"}
"""Arrays that are 1 where the values of another array are present, else 0."""


@dataclasses.dataclass(frozen=True)
class SampleArray:
    """One array of a sample.

    Attributes:
        channels: Names along the last axis; a scalar has one.
        units: Units of the physical values of each channel.
        shape: Shape without the batch.
        spacing: (rows, columns) distance of points in degrees; None without coordinates and for
            what is no map.
        offsets: Times of its steps relative to the sample's time, in steps; of ``second`` of a
            pair, all lags that occur.
        normalization: What turned physical values into the stored ones; None where values are
            not normalised.
        climatologies: What turned the normalised values into standardised anomalies, by place and
            season: for some of the channels each ``channels``, ``statistics_of``, ``harmonics``,
            ``months`` and a ``fingerprint`` of the arrays, which lie beside the schema (see
            :mod:`phire.records.anomalies`).
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
            del value["climatologies"]  # as of records of before they could have some
        return value

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> SampleArray:
        """Inverts :meth:`to_dict`."""
        found = value.get("normalization")
        return cls(**{**value, "normalization": found and Normalization.from_dict(found)})


@dataclasses.dataclass(frozen=True, eq=False)
class SampleSchema:
    """The arrays of a sample and what they have in common.

    Records hold it, the shapes of a network come from it, prediction checks its inputs by it.

    Attributes:
        kind: ``pairs`` or ``downscaling``.
        arrays: The arrays by name. Pairs: ``first``, ``second``, ``label``, ``position``.
            Downscaling: ``low``, ``high`` and, where the records have them, ``static``,
            ``auxiliary``, ``time``, ``position``, ``valid``, ``low_valid``.
        classes: Pairs: the largest lag in steps; labels count from 1.
        scale: Downscaling: fine points to a coarse one, along each axis.
        alignment: Downscaling: ``cell`` (a coarse point is its block's centre) or ``corner`` (its
            first point).
        pooling: Downscaling: how ``low`` came about: ``area-mean`` of the targets, or ``explicit``
            (from files of its own).
        margin: Coarse points of context on each side of ``low``.
        window: Time steps of ``low``, ``high`` and ``auxiliary``; None for single fields.
        domain: Grid of all fine points that patches are cut from, to which ``position`` refers.
        padding: Rows and columns at the end of ``domain`` that complete its last blocks: no fine
            field has them, and ``valid`` is 0 there.
        step: Time step in seconds (in steps without a calendar).
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
        """The array that the records are about: ``high``, or ``first`` of pairs."""
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
        """Climatologies of the arrays that have some."""
        return {n: array.climatologies for n, array in self.arrays.items() if array.climatologies}

    @property
    def patch(self) -> tuple[int, int]:
        """(H, W) of :attr:`target`."""
        return self.target.shape[-3:-1]

    @property
    def low_patch(self) -> tuple[int, int]:
        """(h, w) of ``low``, its margin included."""
        return self.arrays["low"].shape[-3:-1]

    @property
    def unpadded_domain(self) -> Grid | None:
        """The part of :attr:`domain` that the fine fields have."""
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
        padding = tuple(value.get("padding", (0, 0)))  # records of before it have none
        domain = domain and grid_from_dict(domain)
        return cls(**{**value, "arrays": arrays, "domain": domain, "padding": padding})
