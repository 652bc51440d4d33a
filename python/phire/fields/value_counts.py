"""Counts of the missing and infinite values of files, read block by block."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.fields import grib
from phire.fields.dataset import horizontal_dimensions
from phire.fields.source_writing import blocks
from phire.fields.store import FieldStore

QUICK = 100_000_000
"""Values that are counted unasked; reading them takes a second or two."""

BLOCK = 4_000_000
"""Values of a variable that are held at once, as far as its chunks allow."""


@dataclasses.dataclass(frozen=True)
class ValueCount:
    """Numbers of values of a variable.

    Attributes:
        values: All values.
        missing: Missing ones (NaN, ``_FillValue``, points without a bit in GRIB's bitmap).
        wholly: Fields that are missing wholly.
        infinite: Infinite values.
    """

    values: int = 0
    missing: int = 0
    wholly: int = 0
    infinite: int = 0

    def plus(self, fields: np.ndarray) -> ValueCount:
        """Adds fields (n, values)."""
        if fields.dtype.kind != "f":
            return dataclasses.replace(self, values=self.values + fields.size)
        finite = np.isfinite(fields)
        if finite.all():
            return dataclasses.replace(self, values=self.values + fields.size)
        missing = np.isnan(fields)
        return ValueCount(
            self.values + fields.size,
            self.missing + int(missing.sum()),
            self.wholly + int(missing.all(axis=1).sum()),
            self.infinite + int((~finite & ~missing).sum()),
        )


def count_variables(dataset: xr.Dataset, names: Sequence[str], path: str) -> dict[str, ValueCount]:
    """Counts the values of variables of NetCDF or Zarr.

    Args:
        dataset: The dataset, opened lazily.
        names: Names of the variables.
        path: Its file, for messages.

    Raises:
        InputError: The file is damaged.
    """
    counts = dict.fromkeys(names, ValueCount())
    for name in names:
        try:
            for fields in _blocks(dataset[name]):
                counts[name] = counts[name].plus(fields)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"{path}: the values of {name} cannot be read: {error}") from None
    return counts


def _blocks(array: xr.DataArray) -> Iterator[np.ndarray]:
    """Yields the fields (n, H·W) of a variable, some whole chunks along one dimension at a time."""
    plane = horizontal_dimensions(array)
    others = [str(dimension) for dimension in array.dims if dimension not in plane]
    array = array.transpose(*others, *plane)
    if not others:
        yield array.values.reshape(1, -1)
        return
    longest = max(others, key=lambda dimension: array.sizes[dimension])
    size = array.sizes[longest]
    chunk = int((array.encoding.get("preferred_chunks") or {}).get(longest, 1))
    count = max(1, int(BLOCK / (array.size / size)) // chunk) * chunk
    for start in range(0, size, count):
        values = array.isel({longest: slice(start, start + count)}).values
        yield values.reshape(-1, math.prod(array.sizes[dimension] for dimension in plane))


def count_messages(
    path: str | os.PathLike, messages: Sequence[grib.Message]
) -> dict[str, ValueCount]:
    """Counts the values of each variable of GRIB messages; coefficients count as finite."""
    counts = dict.fromkeys((message.variable for message in messages), ValueCount())
    for message in messages:
        fields = grib.message_values(path, message)[None]
        counts[message.variable] = counts[message.variable].plus(fields)
    return counts


def count_store(store: FieldStore) -> ValueCount:
    """Counts the values of a field store whose writer did not.

    A field is missing wholly where each of its points misses a channel, as the writer counts.
    """
    count, wholly = ValueCount(), 0
    for block in blocks(store, len(store.time)):
        fields = store.read(block)
        count = count.plus(fields.reshape(len(fields), -1))
        wholly += int(np.isnan(fields).any(3).all((1, 2)).sum())
    return dataclasses.replace(count, wholly=wholly)


def stated_counts(counts: dict[str, ValueCount]) -> dict[str, tuple[str, Any]]:
    """Returns the facts of ``phire info`` as text and as values, a number for each variable."""
    facts = {}
    for name, attribute in (
        ("missing values", "missing"), ("fields missing wholly", "wholly"),
        ("infinite values", "infinite"),
    ):  # fmt: skip
        found = {variable: getattr(count, attribute) for variable, count in counts.items()}
        parts = []
        for variable, number in found.items():
            if number:
                share = f" ({number / counts[variable].values:.3%})" * (attribute != "wholly")
                parts.append(f"{variable} {number:,}{share}")
        facts[name] = ", ".join(parts) or "none", found
    return facts
