"""Inputs of the metric: arrays, tensors and xarray objects, checked and batched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.rplearn.input_checks import check_channels, check_units, check_values
from phire.rplearn.xarray_fields import XarrayFields, open_xarray, pair

if TYPE_CHECKING:
    from phire.rplearn.metric import LearnedMetric

# Grid points computed at once: about 80 patches of 160×160.
PIXELS_AT_ONCE = 2_000_000


class Fields:
    """Fields from an array, a tensor or an xarray object, read in batches.

    Args:
        given: Array or tensor (n, H, W, C) or (H, W, C), or :class:`XarrayFields`.
        metric: The metric that the fields are for.
        what: Name of the fields in messages.

    Attributes:
        shape: (n, H, W, C).
        single: True for a single field without the first axis.
        labelled: The fields with their coordinates; None for arrays and tensors.

    Raises:
        InputError: The number of axes or channels is wrong, or there are no fields.
    """

    def __init__(self, given: Any, metric: LearnedMetric, what: str) -> None:
        self.metric, self.what = metric, what
        self.labelled = given if isinstance(given, XarrayFields) else None
        if self.labelled is not None:
            source = self.labelled.source
            self.single = self.labelled.dimension is None
            self.shape = (len(source.time), *source.grid.shape, len(source.channels))
        else:
            given = given if hasattr(given, "shape") else np.asarray(given)
            check_channels(given.shape, metric.channels, what)
            self.single = len(given.shape) == 3
            if len(given.shape) > 4:
                raise InputError(
                    f"{what} has {len(given.shape)} axes: pass fields of the shape (n, H, W, C)."
                )
            self.fields = given[None] if self.single else given
            self.shape = tuple(self.fields.shape)
        if not self.shape[0]:
            raise InputError(f"{what} holds no fields: its first axis has the length 0.")

    @classmethod
    def of(cls, given: Any, metric: LearnedMetric, what: str) -> Fields:
        """Wraps fields of any accepted form; rows of xarray objects are read from the north.

        Raises:
            InputError: The fields do not match the metric.
        """
        if isinstance(given, (xr.Dataset, xr.DataArray)):
            given = _of_xarray(given, metric, what)
        return cls(given, metric, what)

    @classmethod
    def pair(
        cls, x: Any, y: Any, metric: LearnedMetric, names: tuple[str, str]
    ) -> tuple[Fields, Fields]:
        """Aligns two sets of fields: xarray objects by coordinates, arrays by position.

        Raises:
            InputError: The fields do not match the metric or one another.
        """
        labelled = [isinstance(one, (xr.Dataset, xr.DataArray)) for one in (x, y)]
        if any(labelled) and not all(labelled):
            raise InputError(
                f"one of {names[0]} and {names[1]} is an xarray object, the other an array: pass "
                "both as xarray objects, or both as arrays."
            )
        if all(labelled):
            x, y = pair(*(_of_xarray(one, metric, name) for one, name in zip((x, y), names)))
        first, second = cls(x, metric, names[0]), cls(y, metric, names[1])
        if first.shape != second.shape:
            raise InputError(
                f"{names[0]} has the shape {first.shape}, {names[1]} the shape {second.shape}: "
                "pass fields of equal shape."
            )
        return first, second

    def batches(
        self, normalization: Normalization | None, batch_size: int | None
    ) -> Iterator[np.ndarray]:
        """Yields normalised batches, float32, after checking their values."""
        metric = self.metric
        n, height, width, _ = self.shape
        size = batch_size or max(1, PIXELS_AT_ONCE // (height * width))
        # Fields in memory are checked at once, fields on disk batch by batch as they are read.
        whole = self.labelled is None and isinstance(self.fields, np.ndarray)
        if whole:
            self._check(self.fields, normalization)
        for start in range(0, n, size):
            part = self._read(slice(start, start + size))
            if not whole:
                self._check(part, normalization)
            normalised = metric.normalise(part, normalization=normalization, xp=np)
            yield np.asarray(normalised, dtype=np.float32)

    def _read(self, part: slice) -> np.ndarray:
        if self.labelled is not None:
            return self.labelled.source.read(part)
        fields = self.fields[part]
        if isinstance(fields, np.ndarray):
            return fields
        return np.asarray(keras.ops.convert_to_numpy(fields))

    def _check(self, fields: np.ndarray, normalization: Normalization | None) -> None:
        physical = _physical(fields, normalization)
        check_values(physical, self.metric.normalization, self.metric.units, self.what)

    def with_coordinates(self, values: np.ndarray, layer: str) -> Any:
        """Returns values (n,) or (n, h, w) of a layer, for xarray objects with coordinates."""
        if self.labelled is not None:
            return self.labelled.array(values, layer)
        return values[0] if self.single else values


def _of_xarray(given: Any, metric: LearnedMetric, what: str) -> XarrayFields:
    opened = open_xarray(given, metric.channels, what)
    check_units(opened.source.units, metric.units, metric.channels, what)
    return opened


def _physical(fields: np.ndarray, normalization: Normalization | None) -> np.ndarray:
    if normalization is None or normalization.kind == "none":
        return fields
    return normalization.invert(np.asarray(fields, np.float64), xp=np)
