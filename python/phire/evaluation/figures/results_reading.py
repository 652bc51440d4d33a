"""Reading of a results folder for figures and report."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import xarray as xr

from phire.errors import InputError
from phire.evaluation.catalogue import definition
from phire.evaluation.definitions import CHANNEL, SQUARED
from phire.evaluation.figures.label_text import number_text, pretty_units
from phire.evaluation.figures.style import Style, candidate_styles
from phire.evaluation.results import TRUTH
from phire.fields.units import power

Datasets: TypeAlias = Mapping[str, "xr.Dataset | str | os.PathLike"]
"""Results of one metric by candidate, those of the truth under ``truth``; data sets or paths."""

FIGURES = "figures"


def opened(datasets: Datasets) -> dict[str, xr.Dataset]:
    """Returns data sets by candidate, the truth first; paths are loaded.

    Raises:
        InputError: A path does not exist, or ``datasets`` is empty.
    """
    if not datasets:
        raise InputError("no results were given: there is nothing to draw.")
    names = sorted(datasets, key=lambda name: name != TRUTH)
    return {name: _load(datasets[name]) for name in names}


def _load(dataset: xr.Dataset | str | os.PathLike) -> xr.Dataset:
    """Loads a file of results; returns a data set unchanged."""
    if isinstance(dataset, xr.Dataset):
        return dataset
    if not Path(dataset).is_file():
        raise InputError(f"{os.fspath(dataset)} does not exist: name a NetCDF file of results.")
    with xr.open_dataset(dataset) as file:
        return file.load()


class ResultsFolder:
    """Results folder of an evaluation, open for reading.

    Args:
        path: The folder ``OUT`` of ``phire-eval``.

    Attributes:
        path: The folder.
        candidates: Names of the candidates in the order in which they were given.

    Raises:
        InputError: The folder does not exist or holds no results.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise InputError(
                f"{self.path} is no results folder: name a folder written by phire-eval."
            )
        names = sorted(
            folder.name
            for folder in self.path.iterdir()
            if folder.is_dir() and folder.name != FIGURES and any(folder.glob("*.nc"))
        )
        if not names:
            raise InputError(
                f"{self.path} holds no results (NAME/METRIC.nc): name a folder written by "
                "phire-eval."
            )
        ordered = [name for name in self._recorded_order() if name in names]
        rest = [name for name in names if name not in ordered and name != TRUTH]
        self.candidates: tuple[str, ...] = (*(n for n in ordered if n != TRUTH), *rest)
        self._loaded: dict[Path, xr.Dataset] = {}

    def _dataset(self, path: Path) -> xr.Dataset:
        """Returns a file of results; it is read once, for all figures and tables."""
        if path not in self._loaded:
            self._loaded[path] = _load(path)
        return self._loaded[path]

    def _recorded_order(self) -> list[str]:
        """Returns the candidates in the order of the recorded options."""
        candidates = self.options.get("candidates", {})
        if isinstance(candidates, Mapping):
            return list(candidates)
        return [str(item).split("=")[0] for item in candidates]

    @functools.cached_property
    def provenance(self) -> dict[str, Any]:
        """Provenance of the results; empty if it was not recorded."""
        path = self.path / "provenance.json"
        return json.loads(path.read_text("utf-8")) if path.is_file() else {}

    @property
    def options(self) -> dict[str, Any]:
        """Options of the evaluation."""
        return self.provenance.get("options") or {}

    @property
    def boxes(self) -> dict[str, tuple[float, float, float, float]]:
        """Regions that are boxes: north, west, south, east in degrees, by name."""
        found = {}
        for name, box in (self.options.get("regions") or {}).items():
            parts = box.split(",") if isinstance(box, str) else box
            try:
                north, west, south, east = (float(part) for part in parts)
            except (TypeError, ValueError):
                continue  # a mask, whose outline is not recorded
            found[name] = (north, west, south, east)
        return found

    @property
    def styles(self) -> dict[str, Style]:
        """Style of each candidate, the same in all figures."""
        return candidate_styles(self.candidates)

    @functools.cached_property
    def summary(self) -> pd.DataFrame | None:
        """Table of scores; None if the folder has no summary."""
        path = self.path / "summary.csv"
        return pd.read_csv(path) if path.is_file() else None

    def regions_of(self, metric: str) -> list[str]:
        """Returns the regions with results of a metric: ``""`` (the whole domain), then names."""
        found = {
            file.name[len(metric) : -len(".nc")].removeprefix(".")
            for candidate in (TRUTH, *self.candidates)
            for file in (self.path / candidate).glob(f"{metric}*.nc")
            if file.name[len(metric)] == "."
        }
        return sorted(found)

    def metric(self, name: str, region: str = "") -> dict[str, xr.Dataset]:
        """Returns the results of a metric by candidate, the truth first; empty without results."""
        file = f"{name}.{region}.nc" if region else f"{name}.nc"
        return {
            candidate: self._dataset(path)
            for candidate in (TRUTH, *self.candidates)
            if (path := self.path / candidate / file).is_file()
        }

    def metrics(self) -> list[str]:
        """Returns the names of all metrics with results, of the whole domain or a region."""
        return sorted(
            {
                file.name.split(".")[0]
                for candidate in (TRUTH, *self.candidates)
                for file in (self.path / candidate).glob("*.nc")
            }
        )

    @functools.cached_property
    def channels(self) -> tuple[str, ...]:
        """Channels of all metrics, in order."""
        found: dict[str, None] = {}
        for metric in self.metrics():
            data = self.metric(metric, self.regions_of(metric)[0])
            found.update(dict.fromkeys(map(str, values_of(data, "channel"))))
        return tuple(found)

    @functools.cached_property
    def _units(self) -> dict[tuple[str, str | None], str]:
        """Units by variable and channel (None for variables without channels)."""
        found = {}
        for metric in self.metrics():
            for dataset in self.metric(metric, self.regions_of(metric)[0]).values():
                for name, array in dataset.data_vars.items():
                    for channel in values_of({"": dataset}, "channel") or [None]:
                        known = channel if "channel" in array.dims else None
                        found[str(name), known] = units_of(dataset, str(name), known)
        return found

    def units(self, variable: str, channel: str | None = None) -> str:
        """Returns the units of a score of the table, from its definition or the results."""
        units = definition(variable).units
        if units not in (CHANNEL, SQUARED):
            return units
        for name in (variable, f"{variable}_mean", "field", "bin_centre"):
            if (name, channel) in self._units:
                return self._units[name, channel]
        return ""


def over_all_but(array: xr.DataArray, *dimensions: str) -> xr.DataArray:
    """Returns the mean over all other dimensions (times, members), without missing values."""
    others = [dimension for dimension in array.dims if dimension not in dimensions]
    return array.mean(others, skipna=True) if others else array


def values_of(datasets: Mapping[str, xr.Dataset], coordinate: str) -> list[Any]:
    """Returns the labels along a dimension in the first data set that has it; empty if none has."""
    for dataset in datasets.values():
        if coordinate in dataset.dims and coordinate in dataset.coords:
            return [value.item() for value in dataset[coordinate].values]
    return []


def has_values(
    datasets: Mapping[str, xr.Dataset], variable: str, channel: str | None = None
) -> bool:
    """Returns True if a data set has a value of a variable that is not NaN (of one channel)."""
    for dataset in datasets.values():
        if variable not in dataset:
            continue
        array = dataset[variable]
        if channel is not None and "channel" in array.dims:
            array = array.sel(channel=channel)
        if bool(array.notnull().any()):
            return True
    return False


def units_of(dataset: xr.Dataset, variable: str, channel: str | None = None) -> str:
    """Returns the units of a variable, or of one of its channels; empty if unknown."""
    units = dataset[variable].attrs.get("units", "")
    if isinstance(units, str):
        if units or channel is None or "channel_units" not in dataset.variables:
            return units
        of_channel = str(dataset["channel_units"].sel(channel=channel).item())
        # Variables without a definition (fields, quantiles, bins) are in the channel's units.
        known = definition(variable).units or CHANNEL
        return {CHANNEL: of_channel, SQUARED: power(of_channel, 2)}.get(known, known)
    if channel is not None and "channel" in dataset.coords:
        return str(list(units)[list(dataset["channel"].values).index(channel)])
    return ""


def event_heading(dataset: xr.Dataset, channel: str, event: str) -> str:
    """Returns the heading of an event: ``above the 90 % quantile (3.2 mm)`` or ``above 5 mm``."""
    limit = float(dataset["threshold"].sel(channel=channel, event=event))
    units = pretty_units(units_of(dataset, "threshold", channel))
    text = f"{number_text(float(f'{limit:.3g}'))} {units}"
    if event.startswith(">"):
        return f"above {text.strip()}"
    return f"above the {event} quantile\n({text.strip()})"
