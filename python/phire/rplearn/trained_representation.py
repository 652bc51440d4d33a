"""Trained runs of rplearn-train, open for evaluation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.fields.result_files import read_result
from phire.rplearn.input_checks import check_units
from phire.training import open_run

if TYPE_CHECKING:
    import keras

TASKS = ("temporal-distance", "autoencoder", "inpainting")
"""Names of the objectives that train an encoder."""


class Representation:
    """Trained pretext network with channels, units and normalization of its fields.

    Attributes:
        path: The run's directory.
        run: The opened run.
        task: Name of the pretext task.
        channels, units, patch, step, classes, normalization: Of the training records.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        """Opens a run.

        Raises:
            InputError: ``path`` is no run, or one of another command.
        """
        self.path = Path(path)
        self.run = open_run(self.path)
        config: Mapping[str, Any] = self.run.config
        if config.get("objective", {}).get("name") not in TASKS or "fields" not in config:
            raise InputError(
                f"{self.path} is a run of another command: name one that rplearn-train made."
            )
        facts = config["fields"]
        self.task = config["objective"]["name"]
        self.channels = tuple(facts["channels"])
        self.units = tuple(facts["units"])
        self.patch = tuple(facts["patch"])
        self.step = facts["step"]
        self.classes = facts["classes"]
        self.normalization = Normalization.from_dict(facts["normalization"])
        self.network_name = self.task.replace("-", "_")

    @property
    def epochs(self) -> list[int]:
        """Numbers of the epochs whose weights are kept."""
        return list(self.run.epochs)

    def network(self, epoch: int | None = None) -> keras.Model:
        """Loads the pretext network of the end of an epoch, or of the training."""
        return self.run.network(self.network_name, epoch=epoch)

    def chosen_epoch(self, epoch: str | int) -> int:
        """Returns the number that ``best`` (as rplearn-eval found it, else the last) or a number
        means.

        Raises:
            InputError: There is no such epoch.
        """
        epochs = self.epochs
        if not epochs:
            raise InputError(f"{self.path} has no finished epoch yet: train it first.")
        if str(epoch) != "best":
            number = _number(epoch)
            if number not in epochs:
                raise InputError(
                    f"--epoch {epoch}: {self.path} holds the epochs {epochs[0]} … {epochs[-1]}; "
                    "name one of these, or best."
                )
            return number
        scores = {
            number: float(result["cross_entropy"])
            for number, result in self.evaluated().items()
            if "cross_entropy" in result
        }
        return min(scores, key=scores.get) if scores else epochs[-1]

    def evaluated(self) -> dict[int, Any]:
        """Results of rplearn-eval by epoch."""
        files = sorted((self.path / "evaluation").glob("epoch-*.nc"))
        return {int(file.stem.split("-")[1]): read_result(file) for file in files}

    def check_fields(self, channels: Any, units: Any, what: str) -> None:
        """Raises InputError for fields of other channels or units than those of the training.

        Raises:
            InputError: They differ.
        """
        if tuple(channels) != self.channels:
            raise InputError(
                f"{what} holds {', '.join(channels)}; {self.path} was trained on "
                f"{', '.join(self.channels)}: name data of the same channels in the same order."
            )
        check_units(units, self.units, self.channels, what)

    def channel_places(self, source: Any, what: str) -> list[int]:
        """Places of the run's channels among a source's.

        Raises:
            InputError: A channel is missing, or has other units.
        """
        from phire.rplearn.field_features import channel_places

        return channel_places(self, source, what)


def _number(epoch: str | int) -> int:
    try:
        return int(epoch)
    except ValueError:
        raise InputError(f"--epoch {epoch}: name a number, or best.") from None
