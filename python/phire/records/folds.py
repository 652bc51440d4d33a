"""Folds of records by time, for cross-validation: a training may leave one fold out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from phire.errors import InputError
from phire.records.tfrecord_reading import Records


def fold_edges(records: Records, folds: int) -> list[int]:
    """Returns the folds + 1 times that divide records into folds of about equal size.

    A fold is a period, because fields close in time are alike and must be left out together.

    Args:
        records: Downscaling records that state their times.
        folds: Number of folds, at least 2.

    Raises:
        InputError: The records have no times, or fewer times than folds.
    """
    if folds < 2:
        raise InputError(f"--folds {folds} must be at least 2.")
    if "position" not in records.schema.arrays:
        raise InputError(
            f"--folds: {records.path} has no times to divide by: use records made by phire-data."
        )
    times = np.sort(_times(records))
    inner = times[[len(times) * k // folds for k in range(1, folds)]]
    edges = [int(times[0]), *map(int, inner), int(times[-1]) + 1]
    if len(set(edges)) < len(edges):
        raise InputError(f"--folds {folds}: {records.path} has too few times: choose fewer folds.")
    return edges


class FoldedRecords(Records):
    """Records with the number of their fold, one of which may be left out.

    Args:
        records: Downscaling records that state their times.
        edges: Edges of the folds; see :func:`fold_edges`. Folds count from 0; samples outside all
            of them get the number of folds.
        left_out: Number of the fold to leave out; None keeps all.
    """

    def __init__(self, records: Records, edges: Sequence[int], left_out: int | None = None) -> None:
        super().__init__(records.path, records.manifest, records.shards)
        self.edges = np.asarray(edges, np.int64)
        self.left_out = left_out
        if left_out is not None:
            remaining = self._fold(tf.constant(_times(records))).numpy() != left_out
            self.manifest = dataclasses.replace(records.manifest, count=int(remaining.sum()))

    def _fold(self, times: tf.Tensor) -> tf.Tensor:
        folds = len(self.edges) - 1
        found = tf.searchsorted(self.edges, tf.reshape(times, [-1]), side="right") - 1
        return tf.reshape(tf.where(found < 0, folds, found), tf.shape(times))

    def serialised(self, seed: int | None, epoch: int) -> tf.data.Dataset:
        """Returns the records except the left-out fold; see :meth:`Records.serialised`."""
        records = super().serialised(seed, epoch)
        if self.left_out is None:
            return records
        return records.filter(
            lambda record: self._fold(_read_times(record[None]))[0] != self.left_out
        )

    def decode(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        """Decodes a batch like :class:`Records` and adds ``fold``, (B,) int32."""
        return {**super().decode(records), "fold": self._fold(_read_times(records))}


def _read_times(records: tf.Tensor) -> tf.Tensor:
    feature = {"time": tf.io.FixedLenFeature([], tf.int64)}
    return tf.io.parse_example(records, feature)["time"]


def _times(records: Records) -> np.ndarray:
    batches = records.serialised(None, 0).batch(256).map(_read_times)
    return np.concatenate(list(batches.as_numpy_iterator()))
