"""Training of a run and of its folds, each of which leaves out a part of the records."""

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
    """Trains a run on all records and, in its folder ``folds``, one that leaves out each fold.

    Of such a run ``residual=RUN`` takes each sample's residual to the network that has not seen the
    sample. Folds are consecutive stretches of time of about equally many records.

    Args:
        records: Downscaling records.
        out: The run directory to make.
        folds: Number of folds, 2 or more; 0 for none.
        **options: See :func:`phire.downscaling.train_generator`.

    Returns:
        The run of all records.

    Raises:
        InputError: See :func:`phire.downscaling.train_generator`; the records do not divide.
    """
    if folds:
        _check(records, folds, options.get("batch_size", 1))
    run = train_generator(records, out, **options)
    for number in range(folds):
        train_generator(records, Path(out) / FOLDS / str(number), fold=(number, folds), **options)
    return run


def _check(records: str | os.PathLike, folds: int, batch_size: int) -> None:
    """Raises an InputError before anything is trained if the records do not divide."""
    from phire.records import open_records
    from phire.records.folds import FoldedRecords, fold_edges

    if not os.path.isdir(records):
        raise InputError(f"--folds {folds} needs records of phire-data, not {records}.")
    opened = open_records(records)
    edges = fold_edges(opened, folds)
    count = min(FoldedRecords(opened, edges, left_out).count for left_out in range(folds))
    if count < batch_size:
        raise InputError(
            f"--batch-size {batch_size} is larger than {records} without one of --folds {folds}, "
            f"which leaves {count} records: choose a smaller batch or more folds."
        )
