"""Input files that a run's records were made of."""

from __future__ import annotations

from typing import Any

from phire.records.manifest import Manifest

INPUTS = (
    "store", "targets", "low", "predictors", "coarse_targets", "auxiliary", "static", "stations",
    "regrid", "withhold_stations", "seed",
)  # fmt: skip
"""Options of phire-data that name inputs, or say how they are brought to the blocks."""


PATHS = ("store", "low", "predictors", "auxiliary", "static", "stations")
"""Options among these that name files."""


def inputs_without_paths(manifest: Manifest) -> dict[str, Any]:
    """Returns what records were made of, where the files will not stay."""
    return {name: value for name, value in recorded_inputs(manifest).items() if name not in PATHS}


def recorded_inputs(manifest: Manifest) -> dict[str, Any]:
    """Returns the input files of records, by the names of phire-data's options."""
    options = manifest.options or {}
    return {name: options[name] for name in INPUTS if options.get(name)}
