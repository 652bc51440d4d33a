"""Runs of rplearn-train, opened for evaluation."""

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
    """Trained pretext network with the channels, units and normalization of its fields.

    Attributes:
        path: Directory of the run.
        run: The opened run.
        task: Name of the pretext task.
        channels, units, patch, step, classes, normalization: Properties of the training records.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        """Opens a run.

        Raises:
            InputError: ``path`` is not a run, or another command made it.
        """
        self.path = Path(path)
        self.run = open_run(self.path)
        config: Mapping[str, Any] = self.run.config
        if config.get("objective", {}).get("name") not in TASKS or "fields" not in config:
            raise InputError(
                f"{self.path} is a run of another command: name a run made by rplearn-train."
            )
        fields = config["fields"]
        self.task = config["objective"]["name"]
        self.channels = tuple(fields["channels"])
        self.units = tuple(fields["units"])
        self.patch = tuple(fields["patch"])
        self.step = fields["step"]
        self.classes = fields["classes"]
        self.normalization = Normalization.from_dict(fields["normalization"])
        self.network_name = self.task.replace("-", "_")

    @property
    def epochs(self) -> list[int]:
        """Returns the numbers of the epochs with saved weights."""
        return list(self.run.epochs)

    def network(self, epoch: int | None = None) -> keras.Model:
        """Loads the pretext network of an epoch; None loads it as it is at the end of training."""
        return self.run.network(self.network_name, epoch=epoch)

    def chosen_epoch(self, epoch: str | int) -> int:
        """Resolves an epoch to its number.

        Args:
            epoch: A number, or ``best``: the best epoch by rplearn-eval, or the last one before
                an evaluation.

        Raises:
            InputError: The epoch does not exist.
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
        """Reads the results of rplearn-eval by epoch."""
        files = sorted((self.path / "evaluation").glob("epoch-*.nc"))
        return {int(file.stem.split("-")[1]): read_result(file) for file in files}

    def check_fields(self, channels: Any, units: Any, what: str) -> None:
        """Checks that fields have the channels and units of the training data.

        Raises:
            InputError: A channel or its units differ.
        """
        if tuple(channels) != self.channels:
            raise InputError(
                f"{what} holds {', '.join(channels)}; {self.path} was trained on "
                f"{', '.join(self.channels)}: name data of the same channels in the same order."
            )
        check_units(units, self.units, self.channels, what)

    def channel_places(self, source: Any, what: str) -> list[int]:
        """Returns the indices of the run's channels among the channels of a source.

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
