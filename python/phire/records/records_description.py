"""Description of records in the output of ``phire info``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phire.fields.climatologies import described_statistics
from phire.fields.time_axis import duration_stated
from phire.records.manifest import BARE, NAME, Manifest
from phire.value_text import Stated, channels_stated, counted, list_stated, size_stated


def describe_records(path: str | os.PathLike) -> dict[str, Any] | None:
    """Describes a directory of records or bare TFRecord files; returns None for other paths.

    Raises:
        InputError: The records are damaged or of an unknown kind.
    """
    path = Path(path)
    if (path / NAME).is_file():
        manifest = Manifest.load(path)
    elif are_bare_records(path):
        from phire.records.records_opening import open_records  # needs TensorFlow

        manifest = open_records(path).manifest
    else:
        return None
    entries = {
        "kind": f"{manifest.schema.kind} records",
        "records": manifest.count,
        "shards": len(manifest.shards),
        "channels": channels_stated(manifest.schema.channels, manifest.schema.units),
        "patch": size_stated(manifest.schema.patch),
        "context": manifest.schema.context and size_stated(manifest.schema.context),
        "classes": manifest.schema.classes,
        "scale": manifest.schema.scale,
        "step": _step_text(manifest),
        "time": manifest.time and Stated("{} to {}".format(*manifest.time), list(manifest.time)),
        "gaps": manifest.gaps
        and Stated(
            "; ".join(f"{n} steps after {t}" for t, n in manifest.gaps),
            [{"after": time, "steps": steps} for time, steps in manifest.gaps],
        ),
        "repeated times": manifest.repeated and list_stated(manifest.repeated),
        "missing values": _missing_text(manifest.missing),
        "normalization": _normalization_text(manifest),
        "dtype": manifest.dtype,
        "compression": manifest.compression,
        "low resolution": manifest.schema.pooling,
        "alignment": manifest.schema.alignment,
        "seed": (manifest.options or {}).get("seed"),
        "made from": (manifest.options or {}).get("store"),
    }
    return {name: value for name, value in entries.items() if value not in (None, ())}


def are_bare_records(path: str | os.PathLike) -> bool:
    """Returns True if a path holds no manifest, but files with names of TFRecord files."""
    path = Path(path)
    if (path / NAME).is_file():
        return False
    return any(path.glob(BARE)) if path.is_dir() else path.match(BARE)


def _normalization_text(manifest: Manifest) -> str:
    kind = manifest.schema.normalization.kind
    parts = [
        f"{', '.join(part['channels'])} as anomalies {described_statistics(part['statistics_of'])}"
        + (
            f" with {counted(part['harmonics'], 'harmonic')} of the year"
            if part["harmonics"]
            else ""
        )
        for part in manifest.schema.target.climatologies
    ]
    kind = "; ".join([kind, *parts])
    if manifest.physical:
        return f"{kind}, applied while reading: the files hold values before it"
    return kind


def _step_text(manifest: Manifest) -> str | None:
    step = manifest.schema.step
    if step is None:
        return None
    return duration_stated(step) if manifest.schema.calendar else Stated(f"{step} (no dates)", step)


def _missing_text(missing: Mapping[str, Any] | None) -> str | None:
    if not missing:
        return None
    return Stated(
        f"in {missing['fields']} fields; {missing['absent']} more have no values (--missing "
        f"{missing['policy']})",
        dict(missing),
    )
