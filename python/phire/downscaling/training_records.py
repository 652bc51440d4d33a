"""Training and validation records of a generator: opening, checks, folds and batches."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from phire.errors import InputError
from phire.fields.units import difference
from phire.records import Records, anomalies, open_records
from phire.records.folds import FoldedRecords, fold_edges
from phire.records.schema import SampleSchema


def open_training_records(
    records: str | os.PathLike, validation: str | os.PathLike | None, bare: Mapping[str, Any],
    batch_size: int, network_options: Mapping[str, Any],
) -> tuple[Records, Records | None]:  # fmt: skip
    """Opens the training records and the validation records.

    Args:
        records: Path of the training records.
        validation: Path of the validation records; None to train without validation.
        bare: Options of :func:`phire.records.open_records` for bare TFRecord files.
        batch_size: Samples of a batch.
        network_options: Options of the network; with ``periodic``, patches must span all
            longitudes.

    Returns:
        Both records; the second is None without validation.

    Raises:
        InputError: The records are no downscaling records, do not fit each other, hold no full
            batch, or do not fit ``periodic``.
    """
    opened = _open(records, bare)
    held_out = None if validation is None else _open(validation, bare)
    if held_out is not None:
        _check_alike(opened, held_out)
    if batch_size > opened.count:
        raise InputError(
            f"--batch-size {batch_size} is larger than {records}, which holds {opened.count} "
            "records: choose a smaller batch."
        )
    schema = opened.schema
    if network_options.get("periodic") and not _spans_all_longitudes(schema):
        raise InputError(
            f"--network …,periodic needs patches that span all longitudes, but those of {records} "
            f"have {schema.patch[0]} × {schema.patch[1]} points: make records of a global grid "
            "with --whole-fields."
        )
    return opened, held_out


def without_fold(records: Records, fold: tuple[int, int] | None) -> tuple[Records, dict[str, Any]]:
    """Returns the records without one fold, and the fold's entry of ``config.yaml``.

    Args:
        records: Training records.
        fold: Number of the fold to leave out and number of folds; None to leave out nothing.
    """
    if fold is None:
        return records, {}
    edges = fold_edges(records, fold[1])
    entry = {"number": fold[0], "of": fold[1], "edges": edges}
    return FoldedRecords(records, edges, left_out=fold[0]), {"fold": entry}


def batches(
    records: Records, batch_size: int, seed: int, offset: int, epoch: int, skip: int,
    shard: tuple[int, int],
) -> Any:  # fmt: skip
    """Returns the dataset of one epoch of a phase.

    Args:
        records: Training records.
        batch_size: Samples of a global batch.
        seed: Seed of the shuffling.
        offset: Number of epochs before the phase, so that no two epochs share their order.
        epoch: Number of the epoch within the phase.
        skip: Number of batches to skip.
        shard: Number of workers, and index of this worker.
    """
    return records.dataset(batch_size, seed=seed, epoch=offset + epoch, skip=skip, shard=shard)


def validation_batches(records: Records, batch_size: int, shard: tuple[int, int]) -> Any:
    """Returns the dataset of all validation records, in their order on disk."""
    size = min(batch_size, records.count)
    return records.dataset(size, shard=shard, drop_remainder=False)


def _open(path: str | os.PathLike, bare: Mapping[str, Any]) -> Records:
    """Opens downscaling records; raises an InputError for others."""
    opened = open_records(path, **bare)
    kind = opened.schema.kind
    if kind != "downscaling":
        raise InputError(f"{path} holds {kind} records: name downscaling records of phire-data.")
    anomalies.read_anomalies(path, opened.schema.arrays)  # raises if climatologies do not fit
    return opened


def _check_alike(records: Records, validation: Records) -> None:
    """Raises an InputError if the schemas of training and validation records differ."""
    if validation.schema.climatologies != records.schema.climatologies:
        raise InputError(
            f"--validation {validation.path} has other climatologies than {records.path}: make it "
            f"with --statistics {records.path}."
        )
    for name in ("channels", "units", "scale", "patch", "context"):
        expected, found = (getattr(r.schema, name) for r in (records, validation))
        if name == "units" and difference(validation.schema.channels, found, expected) is None:
            continue
        if expected != found:
            raise InputError(
                f"--validation {validation.path} has another {name} than {records.path} "
                f"({found} instead of {expected}): make both records with the same options."
            )
    if validation.schema.normalization != records.schema.normalization:
        raise InputError(
            f"--validation {validation.path} has other normalization statistics than "
            f"{records.path}: make it with --statistics {records.path}."
        )


def _spans_all_longitudes(schema: SampleSchema) -> bool:
    """Returns True if patches span all 360° of longitude."""
    if schema.spacing is None:
        return False
    width = schema.patch[1] * schema.spacing[1]
    return abs(width - 360) < 0.5 * schema.spacing[1]
