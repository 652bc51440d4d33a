"""Trained generators for notebooks: xarray in, xarray out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import xarray as xr

from phire.downscaling.predicted_source import PredictedSource
from phire.downscaling.trained_generator import TrainedGenerator
from phire.errors import InputError, naming_arguments
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
        """Opens a run of ``phire-train``.

        Args:
            run: The run's directory.
            network: Name of the exported network.
            epoch: An epoch's number or ``best``; the end of the training by default.

        Raises:
            InputError: ``run`` is no finished run, or has no such network or epoch.
        """
        with naming_arguments():
            return cls(TrainedGenerator(run, network, epoch))

    @classmethod
    def fit(
        cls,
        fine: xr.Dataset,
        *,
        out: str | os.PathLike,
        low: xr.Dataset | None = None,
        predictors: xr.Dataset | Sequence[xr.Dataset] = (),
        static: xr.Dataset | Sequence[xr.Dataset] = (),
        auxiliary: xr.Dataset | Sequence[xr.Dataset] = (),
        **options: Any,
    ) -> Downscaler:
        """Trains a generator on xarray data.

        >>> model = Downscaler.fit(fine, low=coarse, static=maps, scale=5, out="run")
        >>> ensemble = model(coarse_tomorrow, members=16)

        Args:
            fine: The targets, or with ``targets=[...]`` among others.
            out: The run directory to make. Data and records lie in a temporary folder beside it
                while it trains.
            low: The targets at low resolution; by default block means of ``fine``.
            predictors: Further coarse fields, one dataset or several.
            static: Maps on the fine grid, likewise.
            auxiliary: Predictors in time on the fine grid, likewise.
            **options: ``validation``: fine fields of other times, which the other inputs hold, too,
                or a share of the times, the last ones, which is then not trained on; or records of
                phire-data. Every epoch is judged there. Further options are those of phire-data
                (:func:`phire.records.write_downscaling_records`) and of phire-train
                (:func:`phire.downscaling.train_generator`).

        Raises:
            InputError: An option is unknown or the data do not fit.
        """
        from phire.downscaling.fitting import fit

        given = {"low": low, "predictors": predictors, "static": static, "auxiliary": auxiliary}
        with naming_arguments():
            return cls.load(fit(fine, out, given, options).path)

    @naming_arguments()
    def __call__(
        self,
        dataset: xr.Dataset,
        *,
        tile: int | None = None,
        any_spacing: bool = False,
        fill: str = "nearest",
        minimum: float | None = None,
        trace: float | None = None,
        consistency: str | None = None,
        noise_memory: float | None = None,
        seed: int | None = None,
        members: int | None = None,
        statistic: str | None = None,
        predictors: xr.Dataset | Sequence[xr.Dataset] = (),
        static: xr.Dataset | Sequence[xr.Dataset] = (),
        auxiliary: xr.Dataset | Sequence[xr.Dataset] = (),
        stations: str | os.PathLike | None = None,
    ) -> xr.Dataset:
        """Refines the fields of a dataset.

        Args:
            dataset: One variable a channel, with time, latitude and longitude.
            tile: Largest side of a tile in coarse pixels.
            any_spacing: Take input of another spacing than trained on.
            fill, minimum, trace, consistency, noise_memory: See :meth:`TrainedGenerator.__call__`.
            seed: Seed of a stochastic generator's random numbers; 0 by default.
            members: Members of a stochastic generator's ensemble; 1 by default.
            statistic: ``mean`` (the default) or ``median`` of a run trained by the objective
                likelihood, where no members are asked for.
            predictors: Further coarse fields, one dataset or several, for channels that ``dataset``
                lacks.
            static: Maps on the fine grid, likewise; by default those of the run.
            auxiliary, stations: Predictors in time on the fine grid, likewise, and a CSV of
                observations.

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
        wanted = [name for name in self.generator.low.channels if name in dataset]
        source = DatasetSource(dataset, variables=wanted or self.generator.low.channels)
        predicted = PredictedSource(
            self.generator, source, tile=tile, any_spacing=any_spacing, fill=fill, minimum=minimum,
            trace=trace, consistency=consistency, noise_memory=noise_memory, seed=seed,
            members=members, statistic=statistic, predictors=several(predictors),
            static=several(static), auxiliary=several(auxiliary), stations=stations,
            name="the dataset",
        )  # fmt: skip
        return to_dataset(predicted)


def several(datasets: xr.Dataset | Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Returns a list of datasets, of one alone too."""
    return [datasets] if isinstance(datasets, (xr.Dataset, xr.DataArray)) else list(datasets)
