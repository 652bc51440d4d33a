"""Trained run whose fields a denoiser learns the residual to."""

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
"""Folder in a run that holds the runs of its folds, by their numbers."""

NETWORK = "mean"
"""Name under which a run keeps the network that its residuals are of."""


@dataclasses.dataclass(frozen=True)
class ResidualBase:
    """Networks of a run: one of all its records and one of each fold, which has not seen the fold.

    Residuals of the records that a network was fitted to are smaller than those of others, and an
    ensemble of such residuals has too little spread. Samples are therefore given to the network of
    their own fold.

    Attributes:
        path: The run.
        network: Its network.
        folds: The folds' networks.
        edges: Edges of the folds in time; empty without folds.
    """

    path: Path
    network: keras.Model
    folds: tuple[keras.Model, ...] = ()
    edges: tuple[int, ...] = ()

    @classmethod
    def open(cls, path: str | os.PathLike, schema: SampleSchema) -> ResidualBase:
        """Opens a run of ``phire-train``.

        Args:
            path: The run.
            schema: Schema of the records that residuals are made of.

        Raises:
            InputError: The run predicts other channels, reads other arrays, has another
                normalization, or gives no single field.
        """
        from phire.training import open_run

        run = open_run(path)
        check_run(path, run.config, schema)
        network = run.network("generator")
        if is_stochastic(network):
            raise InputError(
                f"residual={path} draws members: name a run that gives one field, such as of the "
                "objective content."
            )
        folders = sorted((run.path / FOLDS).glob("*"), key=lambda folder: int(folder.name))
        folds = [open_run(folder) for folder in folders]
        networks = tuple(fold.network("generator") for fold in folds)
        for one in (network, *networks):
            one.trainable = False
        if not folds:
            progress.say(
                f"{path} has no folds: residuals of its own training data are too small, and the "
                "members will have too little spread. Train it with --folds 5."
            )
            return cls(run.path, network)
        return cls(run.path, network, networks, tuple(folds[0].config["fold"]["edges"]))

    def with_folds(self, records: Records) -> Records:
        """Returns records whose samples state their fold."""
        return FoldedRecords(records, self.edges) if self.folds else records

    def __call__(self, batch: Mapping[str, Any]) -> Any:
        """Returns the normalised fields of a batch, (B, H, W, C), each of the network of its fold.

        Args:
            batch: The arrays of a sample, with ``fold`` where there are folds.
        """
        ops = keras.ops
        found = self._apply(self.network, batch)
        for k, network in enumerate(self.folds):
            own = ops.reshape(ops.equal(batch["fold"], k), (-1, 1, 1, 1))
            found = ops.where(own, self._apply(network, batch), found)
        return found

    @staticmethod
    def _apply(network: keras.Model, batch: Mapping[str, Any]) -> Any:
        from phire.downscaling.network_inputs import network_inputs

        found = network(network_inputs(network, batch), training=False)
        return keras.ops.cast(found, "float32")

    def fingerprint(self) -> str:
        """Returns a short hash of all weights."""
        import hashlib

        digest = hashlib.sha256()
        for network in (self.network, *self.folds):
            for weight in network.get_weights():
                digest.update(np.ascontiguousarray(weight))
        return digest.hexdigest()[:16]


def check_run(path: str | os.PathLike, config: Mapping[str, Any], schema: SampleSchema) -> None:
    """Raises an InputError unless a run's networks fit samples of the schema."""
    if "schema" not in config or "objective" not in config:
        raise InputError(f"residual={path} is no run of phire-train with a schema: name one.")
    kind = config["objective"]["name"]
    if kind in (*DENOISERS, "likelihood", "energy", "vqvae"):
        raise InputError(
            f"residual={path} was trained by {kind}, which gives no single field: name a run of "
            "the objective content or srgan."
        )
    theirs = SampleSchema.from_dict(config["schema"])
    if theirs.channels != schema.channels:
        raise InputError(
            f"residual={path} predicts {', '.join(theirs.channels)}, and the records' targets are "
            f"{', '.join(schema.channels)}: name a run of the same channels."
        )
    for name, array in theirs.arrays.items():
        other = schema.arrays.get(name)
        if name == "low_valid":
            continue  # where it is missing, all coarse values are present
        if other is None or (name != "valid" and other.channels != array.channels):
            raise InputError(
                f"residual={path} reads {name} of {', '.join(array.channels)}, which the records "
                "do not hold: make the records of both alike."
            )
        if (other.normalization, other.climatologies) != (array.normalization, array.climatologies):
            raise InputError(
                f"residual={path} was trained with another normalization of {name}: make the "
                "records with --statistics of those that it was trained on."
            )
    for name in ("scale", "margin", "window"):
        if getattr(theirs, name) != getattr(schema, name):
            raise InputError(
                f"residual={path} was trained with another {name} "
                f"({getattr(theirs, name)} instead of {getattr(schema, name)}): make the records "
                "of both alike."
            )
