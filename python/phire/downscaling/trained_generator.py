"""A trained generator with the facts of the fields that it was trained on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from phire.downscaling.filling import Filler, mark_missing
from phire.downscaling.tiling import apply_in_tiles
from phire.errors import InputError
from phire.fields import units
from phire.fields.coarsening import refine_grid, with_block_means
from phire.fields.grid import Grid
from phire.fields.normalization import Normalization
from phire.fields.source import Source

TILE = 128
SAME_SPACING = 0.05
"""Share by which the spacing of the input may differ from that of the training data."""


class TrainedGenerator:
    """A generator with the facts of the fields that it was trained on.

    Args:
        run: A run of ``phire-train``.
        network: Name of the network in the run.
        epoch: The end of this epoch, ``"best"``, or None for the end of training.

    Raises:
        InputError: ``run`` is none, or is not trained to its end.
    """

    def __init__(
        self,
        run: str | os.PathLike,
        network: str = "generator",
        epoch: int | str | None = None,
    ) -> None:
        from phire.networks.blocks.output import halo_of
        from phire.training import open_run

        self.path = Path(run)
        opened = open_run(run)
        facts = opened.config.get("fields", {})
        if "scale" not in facts or "network" not in opened.config:
            raise InputError(f"{run} is a run of another command: name a run of phire-train.")
        if not (epoch is None or epoch == "best" or str(epoch).isdigit()):
            raise InputError(f"--epoch {epoch} must be a number or `best`.")
        self.network = opened.network(network, epoch)
        self.periodic = bool(opened.config["network"].get("periodic"))
        self.conserves = bool(opened.config.get("conserve"))
        self.channels = tuple(facts["channels"])
        self.units = tuple(facts["units"])
        self.scale = int(facts["scale"])
        self.alignment = facts["alignment"]
        self.spacing = facts["spacing"]
        self.normalization = Normalization.from_dict(facts["normalization"])
        self.halo = halo_of(self.network)
        self._graphs: dict[tuple[int, ...], Callable[[np.ndarray], Any]] = {}

    def fingerprint(self) -> str:
        """A short hash of the weights."""
        digest = hashlib.sha256()
        for weight in self.network.get_weights():
            digest.update(np.ascontiguousarray(weight))
        return digest.hexdigest()[:16]

    def check(self, source: Source, what: str, any_spacing: bool = False) -> None:
        """Refuses a coarse source of other channels, units or spacing.

        Raises:
            InputError: What differs.
        """
        if tuple(source.channels) != self.channels:
            raise InputError(
                f"{what} holds the channels {', '.join(source.channels)}; {self.path} was trained "
                f"on {', '.join(self.channels)}: give these, in this order."
            )
        difference = units.difference(self.channels, source.units, self.units)
        if difference:
            raise InputError(
                f"{what} holds {difference} as {self.path} was trained on: convert the units first."
            )
        if self.periodic and not source.grid.wraps:
            raise InputError(
                f"{what} lies on a {source.grid.describe()}, {self.path} was trained with "
                "periodic: give fields all around the globe, or train without."
            )
        if any_spacing or self.spacing is None or not source.grid.has_coordinates:
            return
        trained = [float(value) * self.scale for value in self.spacing]
        for name, has, wanted in zip(("rows", "columns"), source.grid.spacing, trained):
            if abs(has - wanted) > SAME_SPACING * wanted:
                raise InputError(
                    f"{what} has {name} {has:.4g}° apart, {self.path} was trained on "
                    f"{wanted:.4g}°: give fields of that spacing (--coarsen makes them of "
                    "fine ones), or pass --any-spacing."
                )

    def check_values(self, fields: np.ndarray, what: str) -> None:
        """Refuses fields that cannot be in the units of the training data.

        Args:
            fields: (n, h, w, C); missing values are left out of the judgement.
            what: What they are, for the message.

        Raises:
            InputError: Their mean or spread is far off the training data's.
        """
        from phire.rplearn.input_checks import check_values

        present = np.isfinite(fields).all(-1)
        if np.isinf(fields).any():
            raise InputError(f"{what} holds infinite values: mark them as missing (NaN) first.")
        if present.any():
            check_values(
                fields[present][None, None], self.normalization, self.units, what,
                trained=f"the training data of {self.path}",
            )  # fmt: skip

    def __call__(
        self,
        fields: np.ndarray,
        grid: Grid,
        tile: int | None = None,
        *,
        fine_grid: Grid | None = None,
        fill: str = "nearest",
        minimum: float | None = None,
    ) -> np.ndarray:
        """Refines physical fields.

        Missing values are filled for the network before the fields are cut into tiles; the blocks
        of points with a missing channel are missing in the result, and only these.

        Args:
            fields: (n, h, w, C).
            grid: Their grid.
            tile: Largest side of a tile in coarse pixels.
            fine_grid: The grid of the result; by default ``grid`` refined.
            fill: See :class:`phire.downscaling.filling.Filler`.
            minimum: The least physical value: lower ones are set to it. None for no such bound.

        Returns:
            (n, h·s, w·s, C) float32. Of a generator trained with ``conserve`` the area-weighted
            block means are those of the filled input.

        Raises:
            InputError: There are no fields, or ``fill`` is unknown.
        """
        if not len(fields):
            raise InputError("there are no fields to refine: the first axis has the length 0.")
        filled, missing = Filler(fill, self.normalization.mean)(fields, grid)
        fine = apply_in_tiles(
            self._run, self.normalization.apply(filled).astype(np.float32), grid,
            scale=self.scale, halo=self.halo, tile=tile or TILE,
        )  # fmt: skip
        fine = self.normalization.invert(fine)
        if self.conserves:
            fine_grid = fine_grid or refine_grid(grid, self.scale, self.alignment)
            fine = with_block_means(fine, filled, fine_grid, self.scale)
        if minimum is not None:
            np.maximum(fine, np.float32(minimum), out=fine)
        return mark_missing(fine, missing)

    def _run(self, batch: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        # A graph a shape: it frees features as soon as they are used, which Keras does not do when
        # a network is called, and the last convolution is arranged by the size of the image.
        if batch.shape not in self._graphs:
            signature = [tf.TensorSpec(batch.shape)]
            self._graphs[batch.shape] = tf.function(
                lambda low: self.network({"low": low}, training=False), input_signature=signature
            )
        return self._graphs[batch.shape](batch).numpy()
