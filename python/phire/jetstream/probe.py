"""Linear probe of the jet's latitude from frozen features, beside other predictors.

The index is a mean over weeks, which no single field can know: the predictors are therefore passed
through the index's own low-pass filter, all of them alike. What varies within ten days is gone from
both, so that a season holds a few dozen independent samples at most; where sectors of longitude are
alike, each is a series of samples of its own.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import xarray as xr
from sklearn.decomposition import PCA

from phire import progress, provenance
from phire.errors import InputError, naming_arguments
from phire.evaluation.pairing import north_up
from phire.fields.grid import Grid
from phire.fields.result_files import already_made, read_result, write_result
from phire.fields.time import TimeAxis
from phire.jetstream.index import DAY, jet_latitude, low_pass
from phire.jetstream.regression import integral_time, probe
from phire.jetstream.sectors import columns_of, cut_sectors, sector_winds
from phire.rplearn.field_features import channel_places, chunks, feature_grid
from phire.rplearn.metric import LearnedMetric

PREDICTORS = ("low-pass", "instantaneous")


def random_metric(metric: LearnedMetric, *, seed: int = 0) -> LearnedMetric:
    """Returns the same metric with an encoder whose weights were never trained."""
    keras.utils.set_random_seed(seed)
    return LearnedMetric(
        keras.models.clone_model(metric.encoder),
        layer=metric.layer,
        normalization=metric.normalization,
        channels=metric.channels,
        units=metric.units,
    )


def rows_touching(count: int, inside: np.ndarray) -> np.ndarray:
    """Rows of a feature map that stand for at least one of the grid's wanted rows.

    Args:
        count: Rows of the feature map, each standing for an equal stretch of the grid's.
        inside: (rows of the grid,) True where wanted.
    """
    stretch = np.arange(len(inside)) * count // len(inside)
    return np.unique(stretch[inside])


def row_means(
    features: np.ndarray,
    grid: Grid | None,
    sectors: Sequence[tuple[float, float] | None],
    inside: np.ndarray | None = None,
) -> np.ndarray:
    """Feature maps averaged along each of their rows, so that they keep their latitude.

    Args:
        features: (n, h, w, F), of whole fields: a sector's features see what surrounds it.
        grid: Of the fields; needed for a sector.
        sectors: Western and eastern limits, degrees east; None means all columns.
        inside: (rows of the grid,) True for those whose features are wanted; all by default.

    Returns:
        (sector, n, rows · F).
    """
    rows = slice(None) if inside is None else rows_touching(features.shape[1], inside)
    means = []
    for sector in sectors:
        columns = slice(None)
        if sector is not None:
            columns = feature_grid(grid, features.shape[1:3]).columns_between(*sector)
        means.append(features[:, rows][:, :, columns].mean(axis=2).reshape(len(features), -1))
    return np.stack(means)


@naming_arguments()
def probe_jet(
    metric: str | os.PathLike,
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    layer: str | None = None,
    wind: str | None = None,
    sector: tuple[float, float] | None = None,
    sectors: int = 1,
    band: tuple[float, float] = (15.0, 75.0),
    predictors: str = "low-pass",
    cutoff_days: float = 10.0,
    window_days: float = 61.0,
    held_out: float = 0.3,
    every_hours: float = 12.0,
    components: int = 100,
    seed: int = 0,
    overwrite: bool = False,
) -> xr.Dataset:
    """Predicts the jet-latitude index from learned features, beside PCA and random features.

    All get the same fields in the band and sector, the same times, the same low-pass filter, and
    the same ridge regression, whose penalty (for the PCA also the number of components) is chosen
    by cross-validation over stretches of the training time. The last part of the series is held
    out; a gap of ``cutoff_days`` lies before it. Features are averaged along each row of the
    feature map, so that they keep their latitude.

    Args:
        metric: A metric's directory.
        source: Store, NetCDF, Zarr or GRIB file with the metric's channels and the wind.
        output: NetCDF file of the results.
        layer: A layer other than the metric's.
        wind: Channel of zonal wind; see ``sector_winds``.
        sector: Western and eastern limit of the wind's and the features' means, and of the fields
            that go into the PCA; None the whole circle.
        sectors: Cut it into so many equal ones and take each as a series of samples of one and the
            same regression: for fields whose statistics do not change along the latitude circle.
        band: Southern and northern limit of the search for the jet, and of the predictors.
        predictors: ``low-pass`` passes the predictors through the index's filter;
            ``instantaneous`` takes them as they are, though the index is a mean over weeks.
        cutoff_days, window_days: Of the Lanczos low-pass filter.
        held_out: Share of the series that is held out.
        every_hours: Time between the fields used.
        components: Principal components of the raw fields, at most.
        seed: Of the random encoder and the PCA.
        overwrite: Replace an output that is there.

    Returns:
        What ``probe`` gives for ``learned``, ``pca``, ``random``, ``rows`` (the raw fields averaged
        along each row of the grid: what an encoder that changes nothing would give) and ``mean``
        (the training mean, without features), its predictions over ``sector`` and ``time``, with
        ``jet_latitude(sector, time)``, ``training(time)`` and, as to how much there is to tell,
        ``index_std`` (degrees), ``index_memory`` (days, ``integral_time``), ``samples_fitted`` and
        ``samples_judged``: the days of either part over the memory, times the sectors.

    Raises:
        InputError: Files that do not fit, no dates, a series too short.
    """
    from phire.fields import open_source

    options = {
        "metric": str(Path(metric).resolve()), "source": str(Path(source).resolve()),
        "fingerprints": [provenance.input_fingerprint(path) for path in (metric, source)],
        "layer": layer, "wind": wind, "sector": sector, "sectors": sectors, "band": band,
        "predictors": predictors, "cutoff_days": cutoff_days, "window_days": window_days,
        "held_out": held_out, "every_hours": every_hours, "components": components, "seed": seed,
    }  # fmt: skip
    if already_made(output, options, overwrite):
        return read_result(output)
    _check_options(held_out, predictors, sectors)
    loaded = LearnedMetric.load(metric)
    with open_source(source) as file:
        opened = north_up(file)
        places = channel_places(loaded, opened, str(source))
        _check_times(opened, source)
        cut = cut_sectors(opened.grid, sector, sectors)
        windows = {"cutoff_days": cutoff_days, "window_days": window_days}
        index = _jet_latitudes(opened, cut, wind, band, windows)
        samples = _samples(opened.time, index, every_hours, held_out, predictors, windows)
        representations = _representations(
            loaded, opened, places, samples, layer or loaded.layer, cut, band, components, seed
        )
        time = opened.time[samples.times[samples.known]].to_coordinate()
    training = samples.training[samples.known]
    result = probe(
        representations,
        samples.index.ravel(),
        np.tile(training, sectors),
        days=np.tile(samples.days[samples.known], sectors),
        gap=cutoff_days,
    )
    result = _with_index(result, samples, training).assign_coords(time=time)
    write_result(result, output, options)
    return result


def _jet_latitudes(
    source: Any, sectors: Sequence[tuple[float, float] | None], wind: str | None,
    band: tuple[float, float], windows: Mapping[str, float],
) -> np.ndarray:  # fmt: skip
    """Computes the jet-latitude index of each sector at all times: (sectors, times) in degrees."""
    return np.stack(
        [
            jet_latitude(one, source.grid.latitudes, source.time.step, band=band, **windows)
            for one in sector_winds(source, sectors, wind=wind)
        ]
    )


def _check_times(fields: Any, path: str | os.PathLike) -> None:
    """Raises an InputError for fields whose times the index's filter cannot pass through."""
    if not fields.time.has_calendar or fields.time.step is None or fields.time.gaps():
        raise InputError(
            f"{path} needs dates without gaps for the index's filter: convert the data with "
            "its times."
        )


@dataclasses.dataclass(frozen=True)
class _Samples:
    """Times at which the jet is predicted.

    Attributes:
        times: Indices of the fields used, ``stride`` apart.
        known: (times,) True where the index and the filtered predictors exist and no gap lies.
        training: (times,) True in the part to fit on.
        days: (times,) since the calendar's origin.
        index: (sectors, known times) latitude of the jet, degrees.
        interval: Days between two of the times.
        filters: Arguments of the predictors' low-pass filter; None without one.
    """

    times: np.ndarray
    known: np.ndarray
    training: np.ndarray
    days: np.ndarray
    index: np.ndarray
    interval: float
    filters: Mapping[str, Any] | None


def _check_options(held_out: float, predictors: str, sectors: int) -> None:
    if not 0 < held_out < 1:
        raise InputError(f"--held-out {held_out}: name a share between 0 and 1.")
    if predictors not in PREDICTORS:
        raise InputError(f"--predictors {predictors}: choose one of {', '.join(PREDICTORS)}.")
    if sectors < 1:
        raise InputError(f"--sectors {sectors}: name at least one.")


def _samples(
    time: TimeAxis,
    index: np.ndarray,
    every_hours: float,
    held_out: float,
    predictors: str,
    windows: Mapping[str, float],
) -> _Samples:
    """Chooses the times, and divides them into training, gap and held-out part.

    Args:
        time: All times of the source.
        index: (sectors, times) of all times; NaN where the filter does not reach.
        every_hours: Time between those used.
        held_out: Share that is held out.
        predictors: ``low-pass`` or ``instantaneous``.
        windows: ``cutoff_days`` and ``window_days`` of the filter.
    """
    stride = max(1, round(every_hours * 3600 / time.step))
    times = np.arange(0, len(time), stride)
    known = np.isfinite(index[0, times])
    filters = None
    if predictors == "low-pass":
        filters = {"step": stride * time.step, **windows}
        known &= np.isfinite(low_pass(times.astype(float), **filters))
    days = time.values[times] / DAY
    training = np.cumsum(known) <= round(known.sum() * (1 - held_out))
    # The filter reaches across the border: what lies this close after it is left out.
    gap = ~training & (days < days[known & training].max() + windows["cutoff_days"])
    known &= ~gap
    interval = stride * time.step / DAY
    return _Samples(times, known, training, days, index[:, times[known]], interval, filters)


def _with_index(result: xr.Dataset, samples: _Samples, training: np.ndarray) -> xr.Dataset:
    """Adds the index, its spread and memory, and the number of independent samples."""
    sectors, length = samples.index.shape
    memory = integral_time(samples.index, samples.interval)
    per_sample = sectors * samples.interval / memory
    predictions = result["prediction"].to_numpy().reshape(-1, sectors, length)
    return result.assign(
        prediction=(("representation", "sector", "time"), predictions),
        jet_latitude=(("sector", "time"), samples.index, {"units": "degrees_north"}),
        training=("time", training),
        index_std=((), samples.index.std(), {"units": "degrees"}),
        index_memory=((), memory, {"units": "days"}),
        samples_fitted=training.sum() * per_sample,
        samples_judged=(~training).sum() * per_sample,
    )


def _representations(
    metric: LearnedMetric,
    source: Any,
    places: list[int],
    samples: _Samples,
    layer: str,
    sectors: Sequence[tuple[float, float] | None],
    band: tuple[float, float],
    components: int,
    seed: int,
) -> dict[str, np.ndarray | list[np.ndarray]]:
    """Computes the predictors of all representations at the known times, sector after sector.

    The PCA is fitted on the training times.
    """
    untrained = random_metric(metric, seed=seed)
    grid = source.grid
    inside = (grid.latitudes >= band[0]) & (grid.latitudes <= band[1])
    columns = [columns_of(grid, sector) for sector in sectors]
    mean, std = (
        np.array(values if values is not None else default)
        for values, default in ((metric.normalization.mean, 0.0), (metric.normalization.std, 1.0))
    )
    learned, random, rows, raw = [], [], [], []
    with progress.progress_bar("features", len(samples.times), "fields") as advance:
        for part in chunks(source, samples.times):
            fields = source.read(part)[..., places]
            for held, one in ((learned, metric), (random, untrained)):
                features = one.features(fields, layer=layer)
                held.append(row_means(features, grid, sectors, inside))
            standard = ((fields - mean) / std).astype(np.float32)
            rows.append(row_means(standard, grid, sectors, inside))
            raw.append([standard[:, inside][:, :, some].reshape(len(part), -1) for some in columns])
            advance(len(part))

    def series(parts: Sequence[Any]) -> np.ndarray:
        # (sector · time, features), one sector at a time for the filter's sake.
        of_sectors = []
        for k in range(len(sectors)):
            values = np.concatenate([part[k] for part in parts])
            if samples.filters is not None:
                values = low_pass(values, **samples.filters)
            of_sectors.append(values[samples.known].astype(np.float32))
        return np.concatenate(of_sectors)

    fields = series(raw)
    fitted = fields[np.tile(samples.training[samples.known], len(sectors))]
    count = max(1, min(components, len(fitted) - 1, fields.shape[1]))
    pca = PCA(count, svd_solver="randomized", random_state=seed).fit(fitted)
    scores = pca.transform(fields)
    # Fewer components, or more: the cross-validation's choice, as the penalty is.
    counts = sorted({max(1, round(count / 2**k)) for k in range(6)})
    return {
        "learned": series(learned),
        "pca": [scores[:, :some] for some in counts],
        "random": series(random),
        "rows": series(rows),
        "mean": np.zeros((len(fields), 1)),
    }
