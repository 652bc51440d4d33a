"""Opening of training records: directories of phire, or bare TFRecord files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from phire.errors import InputError, naming_arguments
from phire.records.bare_tfrecords import open_bare
from phire.records.manifest import NAME, Manifest, require_records
from phire.records.tfrecord_reading import Records


@naming_arguments()
def open_records(
    path: str | os.PathLike,
    *,
    normalization: str | None = None,
    statistics: str | os.PathLike | None = None,
    channels: Sequence[str] | None = None,
) -> Records:
    """Opens a directory of records, or bare TFRecord files of AtmoDist or PhIRE.

    Args:
        path: A directory with ``records.json``, a directory of ``*.tfrecord`` files, or one file.
        normalization: Bare files only: ``z`` if they hold physical values (such as PhIRE's), which
            are then normalised while reading; ``none`` if they hold normalised values (such as
            AtmoDist's). By default ``z`` for float64 and ``none`` for float32.
        statistics: Bare files only: file of statistics; by default, with ``z``, statistics are
            fitted to the records.
        channels: Bare files only: names of their channels; by default those of ``statistics``,
            else ``channel_0`` ….

    Returns:
        The records.

    Raises:
        InputError: There are no records, they are of an unknown kind, or an option does not fit
            them.
    """
    path = Path(path)
    require_records(path)
    if (path / NAME).is_file():
        if normalization is not None or statistics is not None or channels is not None:
            raise InputError(
                f"{path} has its channels and normalization in {NAME}: leave out --normalization, "
                "--statistics and --channels, which are for bare TFRecord files."
            )
        manifest = Manifest.load(path)
        shards = [str(path / name) for name in manifest.shards]
        for shard in shards:
            if not Path(shard).is_file():
                raise InputError(f"{shard} is missing: make the records again.")
        return Records(path, manifest, shards)
    return open_bare(path, normalization, statistics, channels)
