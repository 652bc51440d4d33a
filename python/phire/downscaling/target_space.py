"""Target space of an objective: fields, residuals to a run's prediction, or latent fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from phire.downscaling.diffusion_target import with_measured_scales
from phire.downscaling.latent_space import LatentSpace
from phire.downscaling.residual_base import ResidualBase
from phire.records import Records
from phire.records.schema import SampleSchema


@dataclasses.dataclass(frozen=True)
class TargetSpace:
    """Space of an objective's targets, with the records to train on.

    Attributes:
        options: Options of the objective, with absolute paths and the scales measured in this
            space.
        records: Training records; their samples hold ``fold`` if ``residual`` has folds.
        held_out: Validation records in the same form; None for no validation.
        schema: Schema of the samples in this space.
        residual: Run whose prediction is subtracted from the targets; None for no subtraction.
        latent: Latent space of the targets; None for fields.
        entries: Entries of ``config.yaml`` that identify ``residual`` and ``latent``.
    """

    options: Mapping[str, Any]
    records: Records
    held_out: Records | None
    schema: SampleSchema
    residual: ResidualBase | None
    latent: LatentSpace | None
    entries: Mapping[str, Any]


def open_target_space(
    options: Mapping[str, Any], schema: SampleSchema, records: Records, held_out: Records | None
) -> TargetSpace:
    """Opens the runs named by an objective's options ``residual`` and ``latent``.

    Args:
        options: Options of the objective.
        schema: Schema of the records.
        records: Training records.
        held_out: Validation records; None for no validation.

    Raises:
        InputError: A run does not fit the records.
    """
    residual = latent = None
    entries: dict[str, Any] = {}
    if options.get("residual"):
        residual = ResidualBase.open(options["residual"], schema)
        options = {**options, "residual": str(residual.path.resolve())}
        records, held_out = (one and residual.with_folds(one) for one in (records, held_out))
        entries["residual_fingerprint"] = residual.fingerprint()
    trained, measured = schema, records
    if options.get("latent"):
        latent = LatentSpace.open(options["latent"], schema, records)
        options = {**options, "latent": str(latent.path.resolve())}
        trained, measured = latent.schema, latent.encoded(records)
        entries["latent"] = latent.to_dict()
    options = with_measured_scales(options, trained, measured, residual)
    return TargetSpace(options, records, held_out, trained, residual, latent, entries)
