"""Target space of an objective: residuals to a run's output, or an autoencoder's latent fields."""

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
    """Space in which an objective trains.

    Attributes:
        options: Options of the objective, with absolute paths and the scales measured in this
            space.
        records: Records to train on; with a residual of folds, their samples state their fold.
        held_out: Records to validate on, likewise; None without.
        schema: Schema of the samples in this space.
        residual: Run whose output the targets are residuals to; None for the fields themselves.
        latent: Autoencoder whose latent fields are the targets; None for none.
        entries: Entries of ``config.yaml`` that identify both.
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
    """Opens the runs that an objective's options ``residual`` and ``latent`` name.

    Args:
        options: Options of the objective.
        schema: Schema of the records.
        records: Records to train on.
        held_out: Records to validate on.

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
