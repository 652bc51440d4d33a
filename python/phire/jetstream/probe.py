"""Linear probe: ridge regression of the jet latitude on frozen features and other predictors.

The index is a mean over weeks, which a single field does not determine. All predictors are
therefore passed through the low-pass filter of the index. The filter removes variations within ten
days, so that a season holds a few dozen independent samples at most. If the statistics do not
depend on longitude, several sectors of longitude give more samples.
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
from phire.fields.result_files import read_result, result_already_made, write_result
from phire.fields.time_axis import TimeAxis
from phire.jetstream.jet_latitude_index import DAY, jet_latitude, low_pass
from phire.jetstream.regression import integral_time, probe
from phire.jetstream.sectors import columns_of, cut_sectors, sector_winds
from phire.rplearn.field_features import channel_places, chunks, feature_grid
from phire.rplearn.metric import LearnedMetric

PREDICTORS = ("low-pass", "instantaneous")


def random_metric(metric: LearnedMetric, *, seed: int = 0) -> LearnedMetric:
    """Returns a copy of the metric whose encoder has random weights."""
    keras.utils.set_random_seed(seed)
    return LearnedMetric(
        keras.models.clone_model(metric.encoder),
        layer=metric.layer,
        normalization=metric.normalization,
        channels=metric.channels,
        units=metric.units,
    )


def rows_touching(count: int, inside: np.ndarray) -> np.ndarray:
    """Returns the rows of a feature map that cover at least one of the wanted grid rows.

    Args:
        count: Number of rows of the feature map, which divide the grid's rows evenly.
        inside: (rows of the grid,) True for wanted rows.
    """
    stretch = np.arange(len(inside)) * count // len(inside)
    return np.unique(stretch[inside])


def row_means(
    features: np.ndarray,
    grid: Grid | None,
    sectors: Sequence[tuple[float, float] | None],
    inside: np.ndarray | None = None,
) -> np.ndarray:
    """Averages feature maps along each row, which keeps their dependence on latitude.

    Args:
        features: (n, h, w, F) features of whole fields, so that those of a sector also depend on
            its surroundings.
        grid: Grid of the fields; needed for sectors.
        sectors: Western and eastern limits of each sector, degrees east; None for all columns.
        inside: (rows of the grid,) True for wanted rows; all by default.

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
    """Predicts the jet-latitude index from learned features, and from baseline predictors.

    All predictors are computed from the same fields in the band and sector, at the same times,
    with the same low-pass filter and ridge regression. Its penalty, and the number of principal
    components, are chosen by cross-validation over blocks of the training time. The last part of
    the series is held out, after a gap of ``cutoff_days``. Features are averaged along each row of
    the feature map, which keeps their dependence on latitude.

    Args:
        metric: Directory of a metric.
        source: Store, NetCDF, Zarr or GRIB file with the metric's channels and the wind.
        output: NetCDF file of the results.
        layer: Encoder layer; by default the metric's.
        wind: Channel of zonal wind; see :func:`~phire.jetstream.sectors.sector_winds`.
        sector: Western and eastern limit, degrees east, of the wind, the features and the fields
            of the PCA; None for all longitudes.
        sectors: Number of equal sectors to divide ``sector`` into. Each gives samples for the same
            regression; for fields whose statistics do not depend on longitude.
        band: Southern and northern limit of the search for the jet and of the predictors, degrees
            north.
        predictors: ``low-pass`` filters the predictors like the index, ``instantaneous`` does not.
        cutoff_days, window_days: Cut-off period and width of the Lanczos low-pass filter.
        held_out: Share of the series that is held out at its end.
        every_hours: Time between the fields used, hours.
        components: Largest number of principal components of the raw fields.
        seed: Seed of the random encoder and of the PCA.
        overwrite: Replace an existing output.

    Returns:
        The results of :func:`~phire.jetstream.regression.probe`, with predictions over ``sector``
        and ``time``, for the representations ``learned``, ``pca``, ``random`` (random encoder),
        ``rows`` (raw fields averaged along each grid row) and ``mean`` (mean of the training
        times, no features). Also ``jet_latitude(sector, time)``, ``training(time)``,
        ``index_std`` (degrees), ``index_memory`` (days; see
        :func:`~phire.jetstream.regression.integral_time`), and the numbers of independent samples
        ``samples_fitted`` and ``samples_judged`` (days of each part / memory · sectors).

    Raises:
        InputError: The source does not match the metric, has no dates, or is too short.
    """
    from phire.fields import open_source

    options = {
        "metric": str(Path(metric).resolve()), "source": str(Path(source).resolve()),
        "fingerprints": [provenance.input_fingerprint(path) for path in (metric, source)],
        "layer": layer, "wind": wind, "sector": sector, "sectors": sectors, "band": band,
        "predictors": predictors, "cutoff_days": cutoff_days, "window_days": window_days,
        "held_out": held_out, "every_hours": every_hours, "components": components, "seed": seed,
    }  # fmt: skip
    if result_already_made(output, options, overwrite):
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
    """Computes the jet-latitude index of each sector at all times, (sectors, times) degrees."""
    return np.stack(
        [
            jet_latitude(one, source.grid.latitudes, source.time.step, band=band, **windows)
            for one in sector_winds(source, sectors, wind=wind)
        ]
    )


def _check_times(fields: Any, path: str | os.PathLike) -> None:
    """Raises an InputError if the times lack dates or have gaps, which the filter cannot handle."""
    if not fields.time.has_calendar or fields.time.step is None or fields.time.gaps():
        raise InputError(
            f"{path} needs dates without gaps for the low-pass filter: convert the data with "
            "their times."
        )


@dataclasses.dataclass(frozen=True)
class _Samples:
    """Times at which the jet is predicted, and the jet-latitude index at these times.

    Attributes:
        times: Indices of the fields used.
        known: (times,) True outside the gap, where the index and the filtered predictors exist.
        training: (times,) True for times to fit on.
        days: (times,) days since the calendar's origin.
        index: (sectors, known times) latitude of the jet, degrees.
        interval: Time between consecutive times, days.
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
    """Selects the times, and divides them into a training part, a gap and a held-out part.

    Args:
        time: All times of the source.
        index: (sectors, times) index at all times; NaN near the ends of the series.
        every_hours: Time between the fields used, hours.
        held_out: Share of the times that is held out.
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
    # The filter mixes both parts near their border, so times shortly after it are left out.
    gap = ~training & (days < days[known & training].max() + windows["cutoff_days"])
    known &= ~gap
    interval = stride * time.step / DAY
    return _Samples(times, known, training, days, index[:, times[known]], interval, filters)


def _with_index(result: xr.Dataset, samples: _Samples, training: np.ndarray) -> xr.Dataset:
    """Adds the index, its standard deviation and integral time scale, and numbers of samples."""
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
    """Computes the predictors of all representations at the known times, sector by sector.

    The PCA is fitted on the training times.
    """
    learned, random, rows, raw = _predictor_parts(
        metric, random_metric(metric, seed=seed), source, places, samples.times, layer, sectors,
        band,
    )  # fmt: skip

    def series(parts: Sequence[Any]) -> np.ndarray:
        # (sector · time, features); each sector is a series of its own for the filter.
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
    # The cross-validation chooses one of these numbers of components.
    counts = sorted({max(1, round(count / 2**k)) for k in range(6)})
    return {
        "learned": series(learned),
        "pca": [scores[:, :number] for number in counts],
        "random": series(random),
        "rows": series(rows),
        "mean": np.zeros((len(fields), 1)),
    }


def _predictor_parts(
    metric: LearnedMetric,
    untrained: LearnedMetric,
    source: Any,
    places: list[int],
    times: np.ndarray,
    layer: str,
    sectors: Sequence[tuple[float, float] | None],
    band: tuple[float, float],
) -> tuple[list, list, list, list]:
    """Reads the fields and computes their predictors, by chunk of times and sector.

    Returns:
        Row means of the features of both metrics, row means of the normalised fields, and the
        normalised fields themselves.
    """
    grid = source.grid
    inside = (grid.latitudes >= band[0]) & (grid.latitudes <= band[1])
    columns = [columns_of(grid, sector) for sector in sectors]
    mean, std = (
        np.array(values if values is not None else default)
        for values, default in ((metric.normalization.mean, 0.0), (metric.normalization.std, 1.0))
    )
    learned, random, rows, raw = [], [], [], []
    with progress.progress_bar("features", len(times), "fields") as advance:
        for part in chunks(source, times):
            fields = source.read(part)[..., places]
            for collected, one in ((learned, metric), (random, untrained)):
                features = one.features(fields, layer=layer)
                collected.append(row_means(features, grid, sectors, inside))
            standard = ((fields - mean) / std).astype(np.float32)
            rows.append(row_means(standard, grid, sectors, inside))
            raw.append(
                [
                    standard[:, inside][:, :, columns_of_sector].reshape(len(part), -1)
                    for columns_of_sector in columns
                ]
            )
            advance(len(part))
    return learned, random, rows, raw
