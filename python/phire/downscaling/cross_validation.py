"""Cross-validation folds: trains a run on all records, and one run per left-out fold."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from phire.downscaling.generator_training import train_generator
from phire.downscaling.residual_base import FOLDS
from phire.errors import InputError, naming_arguments
from phire.training import Run


@naming_arguments()
def train_with_folds(
    records: str | os.PathLike, out: str | os.PathLike, *, folds: int = 0, **options: Any
) -> Run:
    """Trains a run on all records and, in its folder ``folds``, one run for each left-out fold.

    An objective with ``residual=RUN`` then computes the residual of each sample from the network
    that was not trained on it. Folds are consecutive periods with about equally many records.

    Args:
        records: Directory of downscaling records.
        out: Path of the run directory to create.
        folds: Number of folds, 2 or more; 0 to train on all records only.
        **options: Options of :func:`phire.downscaling.train_generator`.

    Returns:
        The run trained on all records.

    Raises:
        InputError: As for :func:`phire.downscaling.train_generator`; or the records cannot be
            divided into the folds.
    """
    if folds:
        _check(records, folds, options.get("batch_size", 1))
    run = train_generator(records, out, **options)
    for number in range(folds):
        train_generator(records, Path(out) / FOLDS / str(number), fold=(number, folds), **options)
    return run


def _check(records: str | os.PathLike, folds: int, batch_size: int) -> None:
    """Raises an InputError before any training if the records cannot be divided into folds."""
    from phire.records import open_records
    from phire.records.folds import FoldedRecords, fold_edges

    if not os.path.isdir(records):
        raise InputError(
            f"--folds {folds} needs a directory of records, not {records}: write records with "
            "phire-data."
        )
    opened = open_records(records)
    edges = fold_edges(opened, folds)
    count = min(FoldedRecords(opened, edges, left_out).count for left_out in range(folds))
    if count < batch_size:
        raise InputError(
            f"--batch-size {batch_size} exceeds the {count} records of {records} that remain "
            f"without one of --folds {folds}: choose a smaller batch or more folds."
        )
