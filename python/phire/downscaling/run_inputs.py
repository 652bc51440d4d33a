"""Input files from which a run's records were made, as recorded in its configuration."""

from __future__ import annotations

from typing import Any

from phire.records.manifest import Manifest

INPUTS = (
    "store", "targets", "low", "predictors", "coarse_targets", "auxiliary", "static", "stations",
    "regrid", "withhold_stations", "seed",
)  # fmt: skip
"""Options of phire-data that name inputs or determine how they are regridded."""


PATHS = ("store", "low", "predictors", "auxiliary", "static", "stations")
"""Those of these options that name files."""


def inputs_without_paths(manifest: Manifest) -> dict[str, Any]:
    """Returns the inputs of records without paths, for records of temporary files."""
    return {name: value for name, value in recorded_inputs(manifest).items() if name not in PATHS}


def recorded_inputs(manifest: Manifest) -> dict[str, Any]:
    """Returns the inputs of records, by the names of the options of phire-data."""
    options = manifest.options or {}
    return {name: options[name] for name in INPUTS if options.get(name)}
