"""Maps of a network's certainty about the lag, by location, season and hour."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import softmax

from phire import progress, provenance
from phire.errors import InputError, naming_arguments
from phire.evaluation.pairing import north_up
from phire.fields.grid import Grid
from phire.fields.normalization import Normalization
from phire.fields.result_files import result_already_made, write_result

SEASONS = {"DJF": (12, 1, 2), "MAM": (3, 4, 5), "JJA": (6, 7, 8), "SON": (9, 10, 11)}
MEASURES = ("probability", "accuracy", "top_3_accuracy", "entropy")


def window_corners(length: int, patch: int, stride: int, wraps: bool) -> np.ndarray:
    """Returns the first rows (or columns) of windows that slide along an axis.

    Args:
        length: Number of points on the axis.
        patch: Number of points in a window.
        stride: Points from one window to the next.
        wraps: True if the axis spans all longitudes; windows then also cross its end.

    Raises:
        InputError: The window is longer than the axis.
    """
    if patch > length:
        raise InputError(
            f"The network's patch of {patch} points is larger than the field of {length}: pass "
            "larger fields."
        )
    return np.arange(0, length if wraps else length - patch + 1, stride)


def lag_certainty(logits: np.ndarray, lag: int) -> np.ndarray:
    """Computes the certainty of predictions for pairs of one lag.

    Args:
        logits: (..., classes).
        lag: The true lag, from 1.

    Returns:
        (..., 4): probability of the true lag; 1 if it is the most probable lag, else 0; 1 if it is
        among the three most probable, else 0; entropy of the probabilities in nats.
    """
    probabilities = softmax(logits.astype(np.float64), axis=-1)
    true_probability = probabilities[..., lag - 1]
    rank = (probabilities > true_probability[..., None]).sum(axis=-1)
    entropy = -np.sum(probabilities * np.log(np.maximum(probabilities, 1e-300)), axis=-1)
    return np.stack([true_probability, rank == 0, rank < 3, entropy], axis=-1)


def groups_of(time: Any) -> dict[str, np.ndarray]:
    """Returns masks over times by group: ``all`` and, with dates, seasons and hours (UTC)."""
    groups = {"all": np.ones(len(time), bool)}
    if time.calendar is None:
        return groups
    months, hours = np.asarray(time.months()), np.asarray(time.hours())
    for season, season_months in SEASONS.items():
        groups[season] = np.isin(months, season_months)
    for hour in np.unique(hours):
        groups[f"{int(hour):02d} UTC"] = hours == hour
    return {name: mask for name, mask in groups.items() if mask.any()}


@naming_arguments()
def certainty_maps(
    run: str | os.PathLike,
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    lag: int,
    epoch: str | int = "best",
    stride: int | None = None,
    time: str | None = None,
    every: int = 1,
    batch_size: int = 256,
    overwrite: bool = False,
) -> None:
    """Maps a network's certainty about one lag, with a window that slides over whole fields.

    Args:
        run: Run of rplearn-train with the task temporal-distance.
        source: Store, NetCDF, Zarr or GRIB file of physical fields.
        output: NetCDF file with probability, accuracy, top_3_accuracy and entropy (group,
            latitude, longitude) at the window centres, and count (group). Groups are ``all`` and,
            with dates, seasons and hours of the first field.
        lag: Time steps between the two fields of a pair, 1 … classes.
        epoch: ``best`` (by rplearn-eval; without it the last epoch) or a number.
        stride: Points from one window to the next; by default half a patch.
        time: Half-open range START,STOP of the first fields.
        every: Use only every n-th field as the first field of a pair.
        batch_size: Number of windows computed at once.
        overwrite: Replace an existing output.

    Raises:
        InputError: The run or the source does not exist, its channels or units do not match, the
            lag is unknown to the network, or other options made the output.
    """
    from phire.fields import open_source
    from phire.rplearn.trained_representation import Representation

    representation = Representation(run)
    number = representation.chosen_epoch(epoch)
    options = {
        "run": str(Path(run).resolve()),
        "epoch": number,
        "source": str(Path(source).resolve()),
        "fingerprint": provenance.input_fingerprint(source),
        "lag": lag,
        "stride": stride,
        "time": time,
        "every": every,
    }
    if result_already_made(output, options, overwrite):
        return
    with open_source(source) as opened:
        result = sliding_certainty(
            representation.network(number),
            opened,
            normalization=representation.normalization,
            places=representation.channel_places(opened, str(source)),
            patch=representation.patch,
            lag=lag,
            stride=stride,
            time=time,
            every=every,
            batch_size=batch_size,
            name=str(source),
        )
    write_result(result, output, options)


def sliding_certainty(
    network: Any,
    source: Any,
    *,
    normalization: Normalization,
    places: Sequence[int],
    patch: tuple[int, int],
    lag: int,
    stride: int | None = None,
    time: str | None = None,
    every: int = 1,
    batch_size: int = 256,
    name: str = "the source",
) -> xr.Dataset:
    """Computes the maps of :func:`certainty_maps` for a network and a source in memory.

    Fields are read from north to south. Pairs with missing values are left out; a printed note
    states their number.
    """
    classes = network.outputs[0].shape[-1] if len(network.inputs) == 2 else 0
    if not 1 <= lag <= classes:
        raise InputError(
            f"--lag {lag}: the network predicts lags 1 … {classes}; name one of these."
            if classes
            else "The network predicts no lags: pass a run of the task temporal-distance."
        )
    source = north_up(source, places)
    steps = stride or max(1, min(patch) // 2)
    windows = _windows(source.grid, patch, steps)
    partner = np.asarray(source.time.partner(lag))
    starts = source.time.select_range(time)[::every]
    starts = starts[partner[starts] >= 0]
    if not len(starts):
        raise InputError(
            f"No two fields lie {lag} time steps apart in the chosen time: pass a longer series."
        )
    groups = groups_of(source.time)
    sums: dict[str, np.ndarray] = {}
    counts: dict[str, int] = {}
    skipped = 0
    for t in progress.tracked(starts, "certainty", len(starts), "fields"):
        fields = source.read([int(t), int(partner[t])])
        if not np.isfinite(fields).all():
            skipped += 1
            continue
        fields = normalization.apply(fields.astype(np.float64)).astype(np.float32)
        first, second = (windows.patches(one) for one in fields)
        certainty = lag_certainty(_logits(network, first, second, batch_size), lag)
        for group, mask in groups.items():
            if mask[t]:
                sums[group] = sums.get(group, 0) + certainty
                counts[group] = counts.get(group, 0) + 1
    _say_skipped(skipped, len(starts), name)
    names = [group for group in groups if group in counts]
    maps = windows.maps(np.stack([sums[group] / counts[group] for group in names]))
    return maps.assign_coords(group=names).assign(
        count=("group", [counts[group] for group in names])
    ).assign_attrs(lag=lag, classes=classes, patch=list(patch), stride=steps)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Windows:
    """Positions of a window that slides over a grid.

    Attributes:
        grid: The grid, first row in the north.
        patch: (height, width) of the window.
        rows, columns: First rows and columns of the window.
    """

    grid: Grid
    patch: tuple[int, int]
    rows: np.ndarray
    columns: np.ndarray

    def patches(self, field: np.ndarray) -> np.ndarray:
        """Cuts the patches of a field (H, W, C), row by row: (patches, height, width, C)."""
        height, width = self.patch
        around = (self.columns[:, None] + np.arange(width)) % self.grid.shape[1]
        return np.stack(
            [field[r : r + height][:, columns] for r in self.rows for columns in around]
        )

    def maps(self, values: np.ndarray) -> xr.Dataset:
        """Arranges measures (groups, patches, measures) as maps at the patch centres."""
        height, width = self.grid.shape
        latitudes, longitudes = self.grid.latitudes, self.grid.longitudes
        values = values.reshape(len(values), len(self.rows), len(self.columns), -1)
        latitude = np.interp(self.rows + (self.patch[0] - 1) / 2, np.arange(height), latitudes)
        spacing = (longitudes[-1] - longitudes[0]) / (width - 1)
        longitude = longitudes[0] + spacing * (self.columns + (self.patch[1] - 1) / 2)
        longitude = longitude % 360 if self.grid.wraps else longitude
        order = np.argsort(longitude)
        dimensions = ("group", "latitude", "longitude")
        return xr.Dataset(
            {name: (dimensions, values[:, :, order, k]) for k, name in enumerate(MEASURES)},
            coords={"latitude": latitude, "longitude": longitude[order]},
        )


def _windows(grid: Grid, patch: tuple[int, int], stride: int) -> _Windows:
    height, width = grid.shape
    return _Windows(
        grid,
        patch,
        window_corners(height, patch[0], stride, False),
        window_corners(width, patch[1], stride, grid.wraps),
    )


def _logits(network: Any, first: np.ndarray, second: np.ndarray, batch_size: int) -> np.ndarray:
    """Computes the logits of pairs of windows, (windows, classes) float64."""
    parts = [
        network.predict_on_batch([first[i : i + batch_size], second[i : i + batch_size]])
        for i in range(0, len(first), batch_size)
    ]
    return np.concatenate([np.asarray(part, np.float64) for part in parts])


def _say_skipped(skipped: int, count: int, name: str) -> None:
    """Notes how many pairs are left out because of missing values.

    Raises:
        InputError: All pairs are left out.
    """
    if skipped == count:
        raise InputError(
            f"All {skipped} pairs of fields of {name} have missing values: fill them first, or "
            "choose a region without gaps."
        )
    if skipped:
        progress.say(
            f"{skipped} of {count} pairs of fields of {name} have missing values and are left out."
        )
