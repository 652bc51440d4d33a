"""Folds of records by time: consecutive parts, of which a training may leave one out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from phire.errors import InputError
from phire.records.tfrecord_reading import Records


def fold_edges(records: Records, folds: int) -> list[int]:
    """Returns the folds + 1 times between which folds of about equal numbers of records lie.

    A fold is a stretch of time, so that neighbours in time, which are alike, are left out together.

    Args:
        records: Downscaling records that state their times.
        folds: Number of folds, 2 at least.

    Raises:
        InputError: The records state no times, or hold too few.
    """
    if folds < 2:
        raise InputError(f"--folds {folds} must be 2 or more.")
    if "position" not in records.schema.arrays:
        raise InputError(
            f"--folds: {records.path} states no times to divide by: use records of phire-data."
        )
    times = np.sort(_times(records))
    inner = times[[len(times) * k // folds for k in range(1, folds)]]
    edges = [int(times[0]), *map(int, inner), int(times[-1]) + 1]
    if len(set(edges)) < len(edges):
        raise InputError(f"--folds {folds}: {records.path} has too few times: take fewer folds.")
    return edges


class FoldedRecords(Records):
    """Records whose samples state their fold; those of one fold may be left out.

    Args:
        records: Downscaling records that state their times.
        edges: Edges of the folds; see :func:`fold_edges`. Samples at other times have the number of
            folds as their fold.
        left_out: Fold to leave out; None for none.
    """

    def __init__(self, records: Records, edges: Sequence[int], left_out: int | None = None) -> None:
        super().__init__(records.path, records.manifest, records.shards)
        self.edges = np.asarray(edges, np.int64)
        self.left_out = left_out
        if left_out is not None:
            kept = self._fold(tf.constant(_times(records))).numpy() != left_out
            self.manifest = dataclasses.replace(records.manifest, count=int(kept.sum()))

    def _fold(self, times: tf.Tensor) -> tf.Tensor:
        folds = len(self.edges) - 1
        found = tf.searchsorted(self.edges, tf.reshape(times, [-1]), side="right") - 1
        return tf.reshape(tf.where(found < 0, folds, found), tf.shape(times))

    def serialised(self, seed: int | None, epoch: int) -> tf.data.Dataset:
        """Returns the records without the fold; see :meth:`Records.serialised`."""
        records = super().serialised(seed, epoch)
        if self.left_out is None:
            return records
        return records.filter(
            lambda record: self._fold(_read_times(record[None]))[0] != self.left_out
        )

    def decode(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        """Decodes a batch as :class:`Records` does, with ``fold`` (B,) int32."""
        return {**super().decode(records), "fold": self._fold(_read_times(records))}


def _read_times(records: tf.Tensor) -> tf.Tensor:
    feature = {"time": tf.io.FixedLenFeature([], tf.int64)}
    return tf.io.parse_example(records, feature)["time"]


def _times(records: Records) -> np.ndarray:
    batches = records.serialised(None, 0).batch(256).map(_read_times)
    return np.concatenate(list(batches.as_numpy_iterator()))
