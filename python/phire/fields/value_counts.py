"""Counts of the missing and infinite values of files, read block by block."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.fields import grib_messages
from phire.fields.dataset import horizontal_dimensions
from phire.fields.source_writing import blocks
from phire.fields.store import FieldStore
from phire.fields.unusable_values import UnusableValues

QUICK = 100_000_000
"""Values that are counted unasked; reading them takes a second or two."""

BLOCK = 4_000_000
"""Values of a variable that are held at once, as far as its chunks allow."""


def count_variables(
    dataset: xr.Dataset, names: Sequence[str], path: str
) -> dict[str, UnusableValues]:
    """Counts the values of variables of NetCDF or Zarr.

    Args:
        dataset: The dataset, opened lazily.
        names: Names of the variables.
        path: Its file, for messages.

    Raises:
        InputError: The file is damaged.
    """
    counts = {name: UnusableValues() for name in names}
    for name in names:
        try:
            for fields in _blocks(dataset[name]):
                counts[name].add(fields)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"{path}: the values of {name} cannot be read: {error}") from None
    return counts


def _blocks(array: xr.DataArray) -> Iterator[np.ndarray]:
    """Yields the fields (..., H, W, 1) of a variable, some whole chunks along one dimension."""
    plane = horizontal_dimensions(array)
    others = [str(dimension) for dimension in array.dims if dimension not in plane]
    array = array.transpose(*others, *plane)
    if not others:
        yield array.values[..., None]
        return
    longest = max(others, key=lambda dimension: array.sizes[dimension])
    size = array.sizes[longest]
    chunk = int((array.encoding.get("preferred_chunks") or {}).get(longest, 1))
    count = max(1, int(BLOCK / (array.size / size)) // chunk) * chunk
    for start in range(0, size, count):
        yield array.isel({longest: slice(start, start + count)}).values[..., None]


def count_messages(
    path: str | os.PathLike, messages: Sequence[grib_messages.Message]
) -> dict[str, UnusableValues]:
    """Counts the values of each variable of GRIB messages; coefficients count as finite."""
    counts = {message.variable: UnusableValues() for message in messages}
    for message in messages:
        values = grib_messages.message_values(path, message)
        counts[message.variable].add(values.reshape(1, -1, 1))
    return counts


def count_store(store: FieldStore) -> UnusableValues:
    """Counts the values of a field store whose writer did not."""
    count = UnusableValues()
    for block in blocks(store, len(store.time)):
        count.add(store.read(block))
    return count


def stated_counts(counts: dict[str, UnusableValues]) -> dict[str, tuple[str, Any]]:
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
