"""Batches: the fields of some times, with or without members, that statistics measure."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from phire.evaluation.computed_once import ComputedOnce, Value


class Batch:
    """Fields of some times, with a cache of intermediate results such as transforms.

    Args:
        fields: (n, H, W, C) in physical units; NaN where missing. Infinite values become NaN.
        times: (n,) indices of the fields on the evaluation's time axis.

    Attributes:
        planes: (n, C, H, W) fields; each plane is contiguous in memory.
        times: (n,) indices of the times.
        infinite: (C,) number of values that were infinite.
        present: (n, C, H, W) True where there is a value; None if no value is missing.
        given: ``present`` of the source, before :meth:`restrict`.
    """

    def __init__(self, fields: np.ndarray, times: np.ndarray) -> None:
        planes = np.ascontiguousarray(np.moveaxis(np.asarray(fields), -1, 1))
        finite = np.isfinite(planes)
        if finite.all():
            self._hold(planes, np.zeros(planes.shape[1], dtype=np.int64), times, None)
            return
        planes, infinite = without_infinities(planes, 1)
        self._hold(planes, infinite, times, finite)

    def _hold(
        self,
        planes: np.ndarray,
        infinite: np.ndarray,
        times: np.ndarray,
        present: np.ndarray | None,
    ) -> None:
        """Sets the attributes of a batch whose missing values are known."""
        self.planes, self.infinite = planes, infinite
        self.times = np.asarray(times)
        self._shared = ComputedOnce()
        self.present = self.given = present

    def restrict(self, points: np.ndarray) -> None:
        """Marks values as missing and clears the cache.

        Args:
            points: (n, C, H, W) False where values are marked; where True, there must be a value.
        """
        if self.present is None or np.count_nonzero(self.present) > np.count_nonzero(points):
            self.planes = np.where(points, self.planes, np.nan).astype(self.planes.dtype)
            self.present, self._shared = points, ComputedOnce()

    def __len__(self) -> int:
        return len(self.planes)

    def once(self, key: Any, compute: Callable[[], Value]) -> Value:
        """Returns the value cached under ``key``; the first call computes and caches it.

        It is used for values, such as transforms, that several statistics or candidates need. It
        is safe in several threads.
        """
        return self._shared.once(key, compute)

    def at(self, places: np.ndarray) -> Batch:
        """Returns the batch of the fields with the indices ``places``; cached."""
        if len(places) == len(self):
            return self
        return self.once(("at", tuple(places)), lambda: self._subset(places))

    def _subset(self, places: np.ndarray) -> Batch:
        """Returns a new batch of some fields; see :meth:`at`."""
        return Batch(self.fields[places], self.times[places])

    @property
    def fields(self) -> np.ndarray:
        """Fields (n, H, W, C), a view of :attr:`planes`."""
        return np.moveaxis(self.planes, 1, -1)


def without_infinities(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Replaces infinite values by NaN, since one of them would make means and scores useless.

    Args:
        values: Array of any shape.
        axis: Axis of the channels.

    Returns:
        The values, and the number of infinite ones of each channel (C,).
    """
    infinite = np.isinf(values)
    if not infinite.any():
        return values, np.zeros(values.shape[axis], dtype=np.int64)
    others = tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    return np.where(infinite, np.nan, values).astype(values.dtype), infinite.sum(others)


class Ensemble(Batch):
    """Fields of an ensemble; used as a :class:`Batch`, it is the ensemble mean.

    Args:
        fields: (n, M, H, W, C) in physical units, with M members.
        times: (n,) indices of the fields on the evaluation's time axis.

    Attributes:
        members: (n, M, C, H, W) fields of the members.
    """

    def __init__(self, fields: np.ndarray, times: np.ndarray) -> None:
        members = np.ascontiguousarray(np.moveaxis(np.asarray(fields), -1, 2))
        mean = members.mean(1)
        finite = np.isfinite(mean)
        infinite = np.zeros(members.shape[2], dtype=np.int64)
        # If all means are finite, so are all members, which need not be checked then.
        if not finite.all():
            members, infinite = without_infinities(members, 2)
            mean, _ = without_infinities(members.mean(1), 1)
        self._hold(mean, infinite, times, None if finite.all() else finite)
        self.members = members

    def restrict(self, points: np.ndarray) -> None:
        """Restricts the mean and all members; see :meth:`Batch.restrict`."""
        super().restrict(points)
        if not points.all():
            members = np.where(points[:, None], self.members, np.nan)
            self.members = members.astype(self.members.dtype)

    def _subset(self, places: np.ndarray) -> Ensemble:
        return Ensemble(np.moveaxis(self.members[places], 2, -1), self.times[places])

    def each(self) -> list[Batch]:
        """Returns a batch for each member, each a view of :attr:`members`."""
        return self.once("each", lambda: [self._member(m) for m in range(self.members.shape[1])])

    def _member(self, number: int) -> Batch:
        """Returns the batch of one member without copying its fields."""
        planes = self.members[:, number]
        finite = None if self.present is None else np.isfinite(planes)
        batch = Batch.__new__(Batch)
        none = np.zeros_like(self.infinite)
        batch._hold(planes, none, self.times, None if finite is None or finite.all() else finite)
        return batch


def restrict_to_common_points(batches: Sequence[Batch]) -> None:
    """Marks a value as missing in all batches if one of them lacks it."""
    masks = [batch.present for batch in batches if batch.present is not None]
    if masks:
        common = functools.reduce(np.logical_and, masks)
        for batch in batches:
            batch.restrict(common)
