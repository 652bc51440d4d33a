"""Manifest of a directory of records: ``records.json``."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phire import files
from phire.errors import InputError
from phire.records.schema import SampleSchema

NAME = "records.json"
BARE = "*.tfrecord*"
"""Pattern of the names of TFRecord files without a manifest."""


class EarlierRecordsError(InputError):
    """Error on records of an earlier version of phire, whose manifest has no schema."""

    def __init__(self, directory: str | os.PathLike, value: Mapping[str, Any]) -> None:
        command = (value.get("provenance") or {}).get("command")
        again = f"{shlex.join(command)} --overwrite" if command else "phire-data … --overwrite"
        super().__init__(
            f"{directory} was made by an earlier version of phire, whose {NAME} has no schema "
            f"of the samples: make the records again with `{again}`."
        )


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Metadata of a set of records: schema, counts, options, provenance.

    Attributes:
        schema: The arrays of a sample.
        count: Number of records.
        shards: File names, in order.
        dtype: Type of the stored pixels.
        compression: ``none``, ``zlib`` or ``gzip``.
        time: First and last time, as text.
        gaps: Gaps of the source between these times: [time before the gap, missing steps].
        repeated: Times between these that occur more than once.
        missing: Policy for missing values, and the number of fields that have any.
        withheld_stations: Stations kept out of the inputs, for scoring: name, latitude,
            longitude.
        options: Options that the records were made with.
        provenance: Command and versions that made the records.
        physical: True if the stored pixels are in physical units, which the reader normalises.
    """

    schema: SampleSchema
    count: int
    shards: tuple[str, ...]
    dtype: str = "float32"
    compression: str = "none"
    time: tuple[str, str] | None = None
    gaps: tuple[tuple[str, int], ...] = ()
    repeated: tuple[str, ...] = ()
    missing: Mapping[str, Any] | None = None
    withheld_stations: tuple[tuple[str, float, float], ...] = ()
    options: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] | None = None
    physical: bool = False

    def save(self, directory: str | os.PathLike) -> None:
        """Writes the manifest into a directory of records."""
        value = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        files.write_json(Path(directory) / NAME, {**value, "schema": self.schema.to_dict()})

    @classmethod
    def load(cls, directory: str | os.PathLike) -> Manifest:
        """Reads the manifest of a directory of records.

        Raises:
            InputError: The manifest is missing or damaged, or an earlier version of phire wrote it.
        """
        path = Path(directory) / NAME
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            if "schema" not in value and "kind" in value:
                raise EarlierRecordsError(directory, value)
            value["schema"] = SampleSchema.from_dict(value["schema"])
            for name in ("shards", "time", "repeated"):
                if value.get(name) is not None:
                    value[name] = tuple(value[name])
            value["withheld_stations"] = tuple(map(tuple, value["withheld_stations"]))
            value["gaps"] = tuple((time, count) for time, count in value["gaps"])
            return cls(**value)
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"{directory} has no {NAME}: name a directory that rplearn-data or phire-data made."
            ) from None
        except EarlierRecordsError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is damaged ({error}): make the records again.") from None


def require_records(path: str | os.PathLike) -> None:
    """Checks that a path holds records, without opening them.

    Raises:
        InputError: The path does not exist, or holds neither a manifest nor TFRecord files.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist: name records made by rplearn-data or phire-data.")
    if not (path.is_file() or (path / NAME).is_file() or any(path.glob(BARE))):
        raise InputError(
            f"{path} holds neither {NAME} nor *.tfrecord files: name records made by rplearn-data "
            "or phire-data."
        )


def options_of_records(directory: str | os.PathLike) -> dict[str, Any] | None:
    """Returns the options that made a directory of records; None for any other path."""
    try:
        return dict(Manifest.load(directory).options or {})
    except EarlierRecordsError:
        raise
    except InputError:
        return None
