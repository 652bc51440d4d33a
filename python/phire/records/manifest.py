"""What a directory of records holds: ``records.json``."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phire import files
from phire.errors import InputError
from phire.fields.normalization import Normalization

NAME = "records.json"
BARE = "*.tfrecord*"
"""Names of TFRecord files that come without a manifest."""
KINDS = ("pairs", "downscaling")


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The facts of a set of records.

    Attributes:
        kind: ``pairs`` or ``downscaling``.
        count: Number of records.
        shards: File names, in order.
        patch: (H, W) of the pixels; of the high resolution, for downscaling.
        channels, units: Of the last axis.
        normalization: What turned physical values into the stored ones.
        dtype: Of the stored pixels.
        compression: ``none``, ``zlib`` or ``gzip``.
        classes: Pairs: the largest label; labels count steps from 1.
        scale: Downscaling: high over low resolution.
        step: Time step, seconds (steps without a calendar).
        calendar: CF calendar of the times, if any.
        spacing: (rows, columns) spacing of the stored (high-resolution) pixels, degrees; None
            without coordinates.
        pooling: Downscaling: how the low resolution came about, ``area-mean`` or ``explicit``.
        alignment: Downscaling: ``cell`` or ``corner``.
        time: First and last time, as text.
        gaps: Gaps of the source in this range: [time before, missing steps].
        repeated: Times that occur more than once in this range.
        missing: What was done about missing values, and how many fields have some.
        options: The options that made the records.
        provenance: Command and versions.
        physical: The stored pixels are in physical units, to be normalised by the reader.
    """

    kind: str
    count: int
    shards: tuple[str, ...]
    patch: tuple[int, int]
    channels: tuple[str, ...]
    units: tuple[str, ...]
    normalization: Normalization
    dtype: str = "float32"
    compression: str = "none"
    classes: int | None = None
    scale: int | None = None
    step: int | None = None
    calendar: str | None = None
    spacing: tuple[float, float] | None = None
    pooling: str | None = None
    alignment: str | None = None
    time: tuple[str, str] | None = None
    gaps: tuple[tuple[str, int], ...] = ()
    repeated: tuple[str, ...] = ()
    missing: Mapping[str, Any] | None = None
    options: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] | None = None
    physical: bool = False

    @property
    def low_patch(self) -> tuple[int, int]:
        """(h, w) of the low resolution."""
        return self.patch[0] // self.scale, self.patch[1] // self.scale

    def save(self, directory: str | os.PathLike) -> None:
        """Writes the manifest into a directory of records."""
        value = dataclasses.asdict(self)
        files.write_json(Path(directory) / NAME, value)

    @classmethod
    def load(cls, directory: str | os.PathLike) -> Manifest:
        """Reads the manifest of a directory of records.

        Raises:
            InputError: There is none, or it is damaged.
        """
        path = Path(directory) / NAME
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            value["normalization"] = Normalization.from_dict(value["normalization"])
            for name in ("shards", "patch", "channels", "units", "spacing", "time", "repeated"):
                if value.get(name) is not None:
                    value[name] = tuple(value[name])
            value["gaps"] = tuple((time, count) for time, count in value["gaps"])
            return cls(**value)
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"{directory} has no {NAME}: name a directory that rplearn-data or phire-data made."
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged ({error}): make the records anew.") from None


def recorded_options(directory: str | os.PathLike) -> dict[str, Any] | None:
    """The options that a directory of records was made by; None for anything else."""
    try:
        return dict(Manifest.load(directory).options or {})
    except InputError:
        return None
