"""Trained run whose prediction is the base of a denoiser's residuals."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from phire import progress
from phire.downscaling.preconditioning import DENOISERS
from phire.downscaling.random_inputs import is_stochastic
from phire.errors import InputError
from phire.records.folds import FoldedRecords
from phire.records.schema import SampleSchema
from phire.records.tfrecord_reading import Records

FOLDS = "folds"
"""Folder of a run that holds the runs of its cross-validation folds, named by number."""

NETWORK = "mean"
"""Name of the base network's file in the run of a residual denoiser."""


@dataclasses.dataclass(frozen=True)
class ResidualBase:
    """Base prediction of residuals, by cross-validated networks of a run.

    A network's residuals on its own training records are too small, and an ensemble trained on them
    has too little spread. A sample's base is therefore predicted by the network that was trained
    without the sample's fold.

    Attributes:
        path: Path of the run.
        network: Network trained on all records; predicts samples outside all folds.
        folds: Networks trained without each fold.
        edges: Times that separate the folds; empty without folds.
    """

    path: Path
    network: keras.Model
    folds: tuple[keras.Model, ...] = ()
    edges: tuple[int, ...] = ()

    @classmethod
    def open(cls, path: str | os.PathLike, schema: SampleSchema) -> ResidualBase:
        """Opens a run of ``phire-train``.

        Args:
            path: Path of the run.
            schema: Schema of the denoiser's training records.

        Raises:
            InputError: The run's channels, arrays or normalization differ from the records', or it
                is not deterministic.
        """
        from phire.training import open_run

        run = open_run(path, "phire-train")
        check_run(path, run.config, schema)
        network = run.network("generator")
        if is_stochastic(network):
            raise InputError(
                f"residual={path} is stochastic: name a deterministic run, such as one of the "
                "objective content."
            )
        folders = sorted((run.path / FOLDS).glob("*"), key=lambda folder: int(folder.name))
        folds = [open_run(folder) for folder in folders]
        networks = tuple(fold.network("generator") for fold in folds)
        for one in (network, *networks):
            one.trainable = False
        if not folds:
            progress.say(
                f"{path} has no folds: residuals on its own training data are too small, so the "
                "members will have too little spread; train it with --folds 5."
            )
            return cls(run.path, network)
        return cls(run.path, network, networks, tuple(folds[0].config["fold"]["edges"]))

    def with_folds(self, records: Records) -> Records:
        """Returns records with the number of each sample's fold, if there are folds."""
        return FoldedRecords(records, self.edges) if self.folds else records

    def __call__(self, batch: Mapping[str, Any]) -> Any:
        """Predicts the normalised base fields of a batch, (B, H, W, C).

        Args:
            batch: Arrays of samples by name, with ``fold`` (B,) if there are folds.
        """
        ops = keras.ops
        base = self._apply(self.network, batch)
        for k, network in enumerate(self.folds):
            in_fold = ops.reshape(ops.equal(batch["fold"], k), (-1, 1, 1, 1))
            base = ops.where(in_fold, self._apply(network, batch), base)
        return base

    @staticmethod
    def _apply(network: keras.Model, batch: Mapping[str, Any]) -> Any:
        """Applies a network to a batch, in inference mode and with float32 output."""
        from phire.downscaling.network_inputs import network_inputs

        output = network(network_inputs(network, batch), training=False)
        return keras.ops.cast(output, "float32")

    def fingerprint(self) -> str:
        """Returns a short hash of the weights of all networks."""
        import hashlib

        digest = hashlib.sha256()
        for network in (self.network, *self.folds):
            for weight in network.get_weights():
                digest.update(np.ascontiguousarray(weight))
        return digest.hexdigest()[:16]


def check_run(path: str | os.PathLike, config: Mapping[str, Any], schema: SampleSchema) -> None:
    """Raises an InputError unless a run can predict the base of records with this schema."""
    if "schema" not in config or "objective" not in config:
        raise InputError(
            f"residual={path} is not a run of phire-train with a schema: name such a run."
        )
    kind = config["objective"]["name"]
    if kind in (*DENOISERS, "likelihood", "energy", "vqvae"):
        raise InputError(
            f"residual={path} was trained by {kind}, which does not predict a single field: name a "
            "run of the objective content or srgan."
        )
    trained = SampleSchema.from_dict(config["schema"])
    if trained.channels != schema.channels:
        raise InputError(
            f"residual={path} predicts {', '.join(trained.channels)}, but the records' targets are "
            f"{', '.join(schema.channels)}: name a run with the same channels."
        )
    for name, array in trained.arrays.items():
        other = schema.arrays.get(name)
        if name == "low_valid":
            continue  # optional: records without it have no missing coarse values
        if other is None or (name != "valid" and other.channels != array.channels):
            raise InputError(
                f"residual={path} reads {name} with {', '.join(array.channels)}, which the records "
                "lack: make records that hold it."
            )
        if name == "context" and other.shape != array.shape:
            raise InputError(
                f"residual={path} was trained with a context of {trained.context[0]} × "
                f"{trained.context[1]} cells, but the records have {schema.context[0]} × "
                f"{schema.context[1]}: make records with the same --context."
            )
        if (other.normalization, other.climatologies) != (array.normalization, array.climatologies):
            raise InputError(
                f"residual={path} was trained with another normalization of {name}: make the "
                "records with --statistics of its training records."
            )
    for name in ("scale", "margin", "window"):
        if getattr(trained, name) != getattr(schema, name):
            raise InputError(
                f"residual={path} was trained with the {name} {getattr(trained, name)}, but the "
                f"records have {getattr(schema, name)}: make records with the same --{name}."
            )
