"""Counts of missing and infinite values of files, read in blocks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.fields import grib_messages
from phire.fields.dataset import horizontal_dimensions
from phire.fields.store import FieldStore
from phire.fields.time_blocks import blocks
from phire.fields.unusable_values import UnusableValues

QUICK = 100_000_000
"""Number of values up to which a description counts them by default, in about two seconds."""

BLOCK = 4_000_000
"""Number of values of a variable read at once, unless its chunks are larger."""


def count_variables(
    dataset: xr.Dataset, names: Sequence[str], path: str
) -> dict[str, UnusableValues]:
    """Counts the unusable values of variables of a dataset.

    Args:
        dataset: The dataset, opened lazily.
        names: Names of the variables.
        path: Path of the file, for messages.

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
    """Yields the fields of a variable in blocks (..., H, W, 1) of whole chunks."""
    plane = horizontal_dimensions(array)
    others = [str(dimension) for dimension in array.dims if dimension not in plane]
    array = array.transpose(*others, *plane)
    if not others:
        yield array.values[..., None]
        return
    longest = max(others, key=lambda dimension: array.sizes[dimension])
    size = array.sizes[longest]
    chunk = int((array.encoding.get("preferred_chunks") or {}).get(longest, 1))
    # At least one whole chunk, so that none is decompressed twice.
    count = max(1, int(BLOCK / (array.size / size)) // chunk) * chunk
    for start in range(0, size, count):
        yield array.isel({longest: slice(start, start + count)}).values[..., None]


def count_messages(
    path: str | os.PathLike, messages: Sequence[grib_messages.Message]
) -> dict[str, UnusableValues]:
    """Counts the unusable values of GRIB messages by variable."""
    counts = {message.variable: UnusableValues() for message in messages}
    for message in messages:
        values = grib_messages.message_values(path, message)
        counts[message.variable].add(values.reshape(1, -1, 1))
    return counts


def count_store(store: FieldStore) -> UnusableValues:
    """Counts the unusable values of a field store that does not state their number."""
    count = UnusableValues()
    for block in blocks(store, len(store.time)):
        count.add(store.read(block))
    return count


def stated_counts(counts: dict[str, UnusableValues]) -> dict[str, tuple[str, Any]]:
    """Returns counts by variable in the form of :mod:`phire.fields.description`.

    Args:
        counts: Counts by variable.

    Returns:
        For each property, its text, and its numbers by variable.
    """
    properties = {}
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
        properties[name] = ", ".join(parts) or "none", found
    return properties
