"""Damaged records: messages that name the file, the record and the remedy."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator

import tensorflow as tf

from phire.errors import WorkError
from phire.records.tfrecord_reading import TF_COMPRESSION, Records

_REASONS = {
    "truncated": "the file was cut short",
    "corrupted": "its checksum is wrong",
    "inflate": "it cannot be unpacked",
}
"""Reasons in plain words, by a pattern in TensorFlow's message."""
_OTHER = "its arrays have other names or sizes"


@contextlib.contextmanager
def naming_damage(*read: Records | None) -> Iterator[None]:
    """Turns TensorFlow's error on a damaged record into one that names the file and the record.

    TensorFlow's own error names neither, and is raised at the first use of the batch.

    Args:
        read: The records that the ``with`` block reads; None entries are ignored.

    Raises:
        WorkError: A record is damaged.
    """
    try:
        yield
    except (tf.errors.OpError, WorkError) as error:
        for records in read:
            found = None if records is None else find_damage(records)
            if found is not None:
                raise WorkError(found) from error
        raise


def find_damage(records: Records) -> str | None:
    """Reads all records once and finds the first damaged one.

    Returns:
        A sentence on the record and the remedy; None if every record is present and readable.
    """
    count = 0
    for shard in records.shards:
        place = 0
        try:
            raw = tf.data.TFRecordDataset(
                [shard], compression_type=TF_COMPRESSION[records.manifest.compression]
            )
            for record in raw:
                records.decode(record[None])
                place += 1
        except tf.errors.OpError as error:
            text = str(error)
            reason = next((said for sign, said in _REASONS.items() if sign in text), _OTHER)
            return f"{shard}: record {place + 1} is damaged ({reason}): {_remedy(records)}"
        count += place
    if count < records.count:
        return (
            f"{records.path} holds only {count:,} of the {records.count:,} records that were "
            f"written: {_remedy(records)}"
        )
    return None


def _remedy(records: Records) -> str:
    command = (records.manifest.provenance or {}).get("command")
    if not command:
        return "fetch or make the records again, then give the same command."
    text = shlex.join(command)
    return f"make the records again with `{text} --overwrite`, then give the same command."
