"""Downscaler for notebooks: fits and applies a generator to xarray datasets."""

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
    """Trained generator that takes and returns xarray datasets.

    >>> fine = Downscaler.load("run")(xr.open_dataset("coarse.nc"))

    Args:
        generator: Generator of a run; :meth:`load` and :meth:`fit` create it.
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
            run: Path of the run directory.
            network: Name of the exported network.
            epoch: Number of an epoch or ``best``; None for the end of training.

        Raises:
            InputError: ``run`` is not a finished run, or lacks the network or epoch.
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
            fine: Target fields; select some of the variables by ``targets=[...]``.
            out: Path of the run directory to create. Data and records are written to a temporary
                folder beside it during the training.
            low: Target fields at low resolution; by default block means of ``fine``.
            predictors: Further coarse fields, one dataset or several.
            static: Maps on the fine grid, one dataset or several.
            auxiliary: Predictors in time on the fine grid, one dataset or several.
            **options: Options of :func:`phire.records.write_downscaling_records` and of
                :func:`phire.downscaling.train_generator`. ``validation`` gives the data on which
                every epoch is scored: fine fields at other times, which the other inputs must
                cover, too; the fraction of times, at the end, to hold out from training; or a
                directory of records.

        Returns:
            The trained downscaler.

        Raises:
            InputError: An option is unknown or the data do not fit together.
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
            dataset: Coarse fields, one variable per channel, with time, latitude and longitude.
            tile: Largest side of a tile in coarse points; None for the default of the run.
            any_spacing: Accept input whose grid spacing differs from the training data's.
            fill, minimum, trace, consistency, noise_memory: See :meth:`TrainedGenerator.__call__`.
            seed: Seed of a stochastic generator; None for 0.
            members: Ensemble members of a stochastic generator; None for 1.
            statistic: ``mean`` (the default) or ``median`` of the predicted distribution, for runs
                of the objective ``likelihood`` without ``members``.
            predictors: Further coarse fields for channels that ``dataset`` lacks, one dataset or
                several.
            static: Maps on the fine grid, one dataset or several; by default those of the run.
            auxiliary: Predictors in time on the fine grid, one dataset or several.
            stations: CSV file of station observations.

        Returns:
            Targets in physical units on the fine grid, with the dimension ``member`` for an
            ensemble of several members.

        Raises:
            InputError: The dataset does not fit the generator.
        """
        from phire.fields import DatasetSource

        if not isinstance(dataset, xr.Dataset):
            raise InputError(
                f"the fields to refine are a {type(dataset).__name__}: pass an xarray Dataset with "
                f"the variables {', '.join(self.generator.low.channels)} (convert a DataArray by "
                "array.to_dataset(name=...))."
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
    """Returns one dataset or several as a list."""
    return [datasets] if isinstance(datasets, (xr.Dataset, xr.DataArray)) else list(datasets)
