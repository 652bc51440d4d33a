"""Trained generators for notebooks: xarray in, xarray out."""

from __future__ import annotations

import os

import xarray as xr

from phire.downscaling.predicted_source import PredictedSource
from phire.downscaling.trained_generator import TrainedGenerator
from phire.errors import InputError
from phire.fields.source import to_dataset


class Downscaler:
    """A trained generator for notebooks: xarray in, xarray out.

    >>> fine = Downscaler.load("run")(xr.open_dataset("coarse.nc"))
    """

    def __init__(self, generator: TrainedGenerator) -> None:
        if not isinstance(generator, TrainedGenerator):
            raise InputError(
                f"Downscaler takes a trained generator, not a {type(generator).__name__}: open one "
                "by Downscaler.load(RUN), then call it with a dataset."
            )
        self.generator = generator

    @classmethod
    def load(
        cls, run: str | os.PathLike, network: str = "generator", epoch: int | str | None = None
    ) -> Downscaler:
        """Opens a run of ``phire-train``; see :class:`TrainedGenerator`."""
        return cls(TrainedGenerator(run, network, epoch))

    def __call__(
        self,
        dataset: xr.Dataset,
        *,
        tile: int | None = None,
        any_spacing: bool = False,
        fill: str = "nearest",
        minimum: float | None = None,
        seed: int | None = None,
        members: int | None = None,
    ) -> xr.Dataset:
        """Refines the fields of a dataset.

        Args:
            dataset: One variable a channel, with time, latitude and longitude.
            tile: Largest side of a tile in coarse pixels.
            any_spacing: Take input of another spacing than trained on.
            fill, minimum: See :meth:`TrainedGenerator.__call__`.
            seed: Seed of a stochastic generator's random numbers; 0 by default.
            members: Members of a stochastic generator's ensemble; 1 by default.

        Returns:
            The targets in physical units on the finer grid, with the dimension ``member`` where
            there are several.

        Raises:
            InputError: The dataset does not fit the generator.
        """
        from phire.fields import DatasetSource

        if not isinstance(dataset, xr.Dataset):
            raise InputError(
                f"the fields to refine are a {type(dataset).__name__}: pass an xarray Dataset with "
                f"the variables {', '.join(self.generator.low.channels)} (of a DataArray, "
                "array.to_dataset(name=...) makes one)."
            )
        source = DatasetSource(dataset, variables=self.generator.low.channels)
        predicted = PredictedSource(
            self.generator, source, tile=tile, any_spacing=any_spacing, fill=fill, minimum=minimum,
            seed=seed, members=members, name="the dataset",
        )  # fmt: skip
        return to_dataset(predicted)
