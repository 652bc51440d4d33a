"""Run directory: options, provenance, history, checkpoints and networks of a training."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from phire import existing_outputs, files, provenance
from phire.errors import InputError

CONFIG = "config.yaml"
PROVENANCE = "provenance.json"
HISTORY = "training.csv"
CHECKPOINTS = "checkpoints"


class Run:
    """Run directory of a training, open for reading.

    Attributes:
        path: Path of the directory.
        config: Contents of ``config.yaml``: every option with its resolved value.
    """

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        self.path = path
        self.config = config

    @property
    def provenance(self) -> dict[str, Any]:
        """Contents of ``provenance.json``: command, versions, time of completion."""
        return json.loads((self.path / PROVENANCE).read_text(encoding="utf-8"))

    @property
    def completed(self) -> bool:
        """True if the training has finished."""
        return "completed" in self.provenance

    @property
    def history(self) -> pd.DataFrame:
        """Contents of ``training.csv``, one row per epoch; empty before the first epoch ends."""
        path = self.path / HISTORY
        return pd.read_csv(path) if path.exists() else pd.DataFrame()

    @property
    def checkpoints(self) -> Path:
        """Path of the checkpoints' directory."""
        return self.path / CHECKPOINTS

    @property
    def epochs(self) -> list[int]:
        """Numbers of the epochs whose weights are saved, from 1."""
        directories = (self.path / "networks").glob("epoch-*")
        return sorted(int(path.name.removeprefix("epoch-")) for path in directories)

    @property
    def best_epoch(self) -> int:
        """Number of the epoch with the lowest monitored score, in the last phase that has one.

        Raises:
            InputError: No epoch has a monitored score.
        """
        monitor, history = self.config["monitor"], self.history
        if monitor not in history or history[monitor].isna().all():
            raise InputError(
                f"{self.path} has no epoch with the monitored score {monitor}: choose an epoch by "
                "its number."
            )
        last_phase = history[history["phase"] == history["phase"].iloc[-1]]
        scored = last_phase if last_phase[monitor].notna().any() else history
        return int(scored.loc[scored[monitor].idxmin(), "epoch"])

    def network(self, name: str, epoch: int | str | None = None) -> Any:
        """Loads a network of the run.

        Args:
            name: Name of the network, such as ``generator``.
            epoch: Number of the epoch whose weights to load, ``"best"``, or None for the weights
                at the end of training.

        Returns:
            The Keras model.

        Raises:
            InputError: The run has no network of this name or no weights of this epoch.
        """
        import keras

        from phire.networks.custom_layers import custom_layers

        networks = self.path / "networks"
        if epoch is None:
            path = networks / f"{name}.keras"
            if not path.exists():
                known = ", ".join(sorted(p.stem for p in networks.glob("*.keras")))
                raise InputError(
                    f"{self.path} has no network {name!r}: choose one of {known}."
                    if known
                    else f"{self.path} has not finished training: run its command again."
                )
            return keras.saving.load_model(path, custom_layers(), compile=False)
        epoch = self.best_epoch if epoch == "best" else int(epoch)
        weights = networks / f"epoch-{epoch:04d}" / f"{name}.weights.h5"
        if not weights.exists():
            saved = ", ".join(map(str, self.epochs)) or "none"
            raise InputError(
                f"{self.path} has no network {name!r} of epoch {epoch}: its saved epochs are "
                f"{saved}."
            )
        network = keras.models.model_from_json(
            (networks / f"{name}.json").read_text(encoding="utf-8"), custom_layers()
        )
        network.load_weights(weights)
        return network


def open_run(path: str | os.PathLike, command: str = "rplearn-train or phire-train") -> Run:
    """Opens a run directory.

    Args:
        path: Path of the directory.
        command: Commands whose runs would fit, for the message.

    Raises:
        InputError: The directory does not exist or is not a run.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist: name a run of {command}.")
    if not ((path / CONFIG).is_file() and (path / PROVENANCE).is_file()):
        raise InputError(f"{path} is not a run: name a run of {command}.")
    return Run(path, yaml.safe_load((path / CONFIG).read_text(encoding="utf-8")))


def look_at_run(path: str | os.PathLike, options: Mapping[str, Any], overwrite: bool) -> Run | None:
    """Returns the run in a directory if it has the same options, to be resumed.

    Args:
        path: Run directory.
        options: Options of this training, compared with those recorded in the directory.
        overwrite: True to ignore an existing run.

    Returns:
        The run; None if the directory is missing or empty, or will be overwritten.

    Raises:
        InputError: The directory holds a run with other options, or something else.
    """
    path = Path(path)
    if overwrite or not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    try:
        recorded = dict(open_run(path).config)
    except InputError:
        recorded = None
    existing_outputs.already_made(path, recorded, files.plain(options), announce=False)
    return open_run(path)


def prepare_run(path: str | os.PathLike, options: Mapping[str, Any], overwrite: bool) -> Run:
    """Creates a run directory, or opens one that has the same options.

    Raises:
        InputError: The directory holds a run with other options, or something else.
    """
    path = Path(path)
    existing = look_at_run(path, options, overwrite)
    if existing is not None:
        return existing
    with files.replacing(path) as partial:
        (partial / "networks").mkdir(parents=True)
        (partial / CHECKPOINTS).mkdir()
        (partial / CONFIG).write_text(
            yaml.safe_dump(files.plain(options), sort_keys=False), encoding="utf-8"
        )
        (partial / PROVENANCE).write_text(
            json.dumps(provenance.record(), indent=2) + "\n", encoding="utf-8"
        )
    return open_run(path)


def describe_run(path: str | os.PathLike) -> dict[str, Any] | None:
    """Returns the description of a run for ``phire info``; None for any other path."""
    try:
        run = open_run(path)
    except InputError:
        return None
    history = run.history
    description = {
        "kind": "run",
        "command": " ".join(run.provenance["command"]),
        "state": "completed" if run.completed else "not completed",
        "epochs": len(history),
    }
    if len(history):
        shown = history.iloc[-1].dropna().to_dict()
        description |= {
            name: shown[name] for name in ("phase", "loss", "val_loss") if name in shown
        }
    return description
