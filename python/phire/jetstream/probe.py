"""How much of the jet's latitude lies in frozen features: a linear probe beside its rivals."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import xarray as xr
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from phire import files, progress
from phire.errors import InputError
from phire.fields.grid import Grid
from phire.jetstream.index import DAY, jet_latitude
from phire.rplearn.field_features import channel_places, chunks, feature_grid
from phire.rplearn.metric import LearnedMetric
from phire.rplearn.results import already_made, write_results

ALPHAS = np.logspace(-2, 7, 19)


def sector_wind(
    source: Any, *, wind: str | None = None, sector: tuple[float, float] | None = None
) -> np.ndarray:
    """Zonal wind averaged over a sector of longitudes.

    Args:
        source: Fields with a channel of zonal wind, or global vorticity and divergence.
        wind: Name of the channel of zonal wind; by default ``u`` where there is one, else the wind
            is made from ``vorticity`` and ``divergence``.
        sector: Western and eastern limit, degrees east; None means the whole circle.

    Returns:
        (time, latitude) m/s.

    Raises:
        InputError: The source holds no wind, or nothing that it could be made from.
    """
    names = list(source.channels)
    if wind is None and "u" in names:
        wind = "u"
    if wind is not None and wind not in names:
        raise InputError(f"The source has no channel {wind!r}; it holds {', '.join(names)}.")
    if wind is None and not ({"vorticity", "divergence"} <= set(names) and source.grid.is_global):
        raise InputError(
            "The source holds neither zonal wind (u) nor vorticity and divergence on a global "
            "grid: name the channel of zonal wind with --wind."
        )
    columns = slice(None) if sector is None else source.grid.columns_between(*sector)
    if wind is None:
        from phire.fields.harmonics import SphericalHarmonics

        harmonics = SphericalHarmonics(source.grid)
        rotation, stretch = names.index("vorticity"), names.index("divergence")
    rows = []
    times = np.arange(len(source.time))
    with progress.progress_bar("zonal wind", len(times), "fields") as advance:
        for part in chunks(source, times):
            fields = source.read(part)
            if wind is None:
                u, _ = harmonics.vorticity_divergence_to_wind(
                    fields[..., rotation], fields[..., stretch]
                )
            else:
                u = fields[..., names.index(wind)]
            rows.append(np.asarray(u, np.float64)[..., columns].mean(axis=-1))
            advance(len(part))
    return np.concatenate(rows)


def random_metric(metric: LearnedMetric, *, seed: int = 0) -> LearnedMetric:
    """The same metric with an encoder whose weights were never trained."""
    keras.utils.set_random_seed(seed)
    return LearnedMetric(
        keras.models.clone_model(metric.encoder),
        layer=metric.layer,
        normalization=metric.normalization,
        channels=metric.channels,
        units=metric.units,
    )


def row_features(
    metric: LearnedMetric,
    fields: np.ndarray,
    layer: str,
    *,
    grid: Grid | None = None,
    sector: tuple[float, float] | None = None,
) -> np.ndarray:
    """Features averaged along each row of the feature map.

    Args:
        metric: The metric.
        fields: (n, H, W, C), whole fields: the sector's features see what surrounds it.
        layer: Layer name.
        grid: Of the fields; needed for a sector.
        sector: Western and eastern limit, degrees east; None means all columns.

    Returns:
        (n, rows · features).
    """
    features = metric.features(fields, layer=layer)
    if sector is not None:
        features = features[:, :, feature_grid(grid, features.shape[1:3]).columns_between(*sector)]
    return features.mean(axis=2).reshape(len(features), -1)


def probe(
    representations: Mapping[str, np.ndarray], target: np.ndarray, training: np.ndarray
) -> xr.Dataset:
    """Predicts a target from each representation by ridge regression.

    Args:
        representations: By name, (time, features).
        target: (time,).
        training: (time,) True where to fit, False where to judge; NaN targets are left out.

    Returns:
        Over ``representation``: ``r2``, ``mean_absolute_error`` on the held-out times,
        ``ridge_penalty``, ``features``; ``prediction(representation, time)``.

    Raises:
        InputError: Under ten times to fit or two to judge.
    """
    known = np.isfinite(target)
    fit, judge = known & training, known & ~training
    if fit.sum() < 10 or judge.sum() < 2:
        raise InputError(
            f"There are {fit.sum()} times to fit and {judge.sum()} to judge: pass a longer series."
        )
    predictions, scores = [], []
    for features in representations.values():
        # Neighbours in time are alike: folds are stretches of time, never single fields.
        ridge = RidgeCV(ALPHAS, cv=KFold(5, shuffle=False))
        model = make_pipeline(StandardScaler(), ridge).fit(features[fit], target[fit])
        prediction = model.predict(features)
        predictions.append(prediction)
        scores.append(
            (
                r2_score(target[judge], prediction[judge]),
                mean_absolute_error(target[judge], prediction[judge]),
                float(ridge.alpha_),
                features.shape[1],
            )
        )
    columns = zip(*scores)
    names = ("r2", "mean_absolute_error", "ridge_penalty", "features")
    return xr.Dataset(
        {
            **{name: ("representation", list(column)) for name, column in zip(names, columns)},
            "prediction": (("representation", "time"), np.stack(predictions)),
        },
        coords={"representation": list(representations)},
    )


def probe_jet(
    metric: str | os.PathLike,
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    layer: str | None = None,
    wind: str | None = None,
    sector: tuple[float, float] | None = None,
    band: tuple[float, float] = (15.0, 75.0),
    cutoff_days: float = 10.0,
    window_days: float = 61.0,
    held_out: float = 0.3,
    every_hours: float = 12.0,
    components: int = 100,
    seed: int = 0,
    overwrite: bool = False,
) -> xr.Dataset:
    """Predicts the jet-latitude index from learned features, beside PCA and random features.

    All three get the same instantaneous fields, the same times and the same ridge regression with
    a penalty chosen by cross-validation within the training times. The last part of the series is
    held out; a gap of ``cutoff_days`` lies before it.

    Args:
        metric: A metric's directory.
        source: Store, NetCDF, Zarr or GRIB file with the metric's channels and the wind.
        output: NetCDF file of the results.
        layer: A layer other than the metric's.
        wind: Channel of zonal wind; see ``sector_wind``.
        sector: Western and eastern limit of the wind's and the features' means, and of the fields
            that go into the PCA; None the whole circle.
        band: Southern and northern limit of the search for the jet.
        cutoff_days, window_days: Of the Lanczos low-pass filter.
        held_out: Share of the series that is held out.
        every_hours: Time between the fields used.
        components: Principal components of the raw fields, at most.
        seed: Of the random encoder and the PCA.
        overwrite: Make it anew if it is there.

    Returns:
        What ``probe`` gives for ``learned``, ``pca``, ``random`` and ``mean`` (the training mean,
        without features), with ``jet_latitude(time)`` and ``training(time)``.

    Raises:
        InputError: Files that do not fit, no dates, a series too short.
    """
    from phire.fields import open_source

    options = {
        "metric": str(Path(metric).absolute()),
        "source": str(Path(source).absolute()),
        "fingerprints": [
            files.fingerprint(path) if Path(path).exists() else None for path in (metric, source)
        ],
        "layer": layer,
        "wind": wind,
        "sector": sector,
        "band": band,
        "cutoff_days": cutoff_days,
        "window_days": window_days,
        "held_out": held_out,
        "every_hours": every_hours,
        "components": components,
        "seed": seed,
    }
    if already_made(output, options, overwrite):
        from phire.rplearn.results import read_results

        progress.say(f"{output} is already made by this command.")
        return read_results(output)
    if not 0 < held_out < 1:
        raise InputError(f"--held-out {held_out}: name a share between 0 and 1.")
    loaded = LearnedMetric.load(metric)
    layer = layer or loaded.layer
    with open_source(source) as opened:
        places = channel_places(loaded, opened, str(source))
        step = opened.time.step
        if not opened.time.has_calendar or step is None or opened.time.gaps():
            raise InputError(
                f"{source} needs dates without gaps for the index's filter: convert the data with "
                "its times."
            )
        index = jet_latitude(
            sector_wind(opened, wind=wind, sector=sector),
            opened.grid.latitudes,
            step,
            band=band,
            cutoff_days=cutoff_days,
            window_days=window_days,
        )
        times = np.flatnonzero(np.isfinite(index))[:: max(1, round(every_hours * 3600 / step))]
        training = np.arange(len(times)) < round(len(times) * (1 - held_out))
        days = opened.time.values[times] / DAY
        gap = ~training & (days < days[training].max() + cutoff_days)
        times, training = times[~gap], training[~gap]
        representations = _representations(
            loaded, opened, places, times, training, layer, sector, components, seed
        )
        time = opened.time[times].to_coordinate()
    result = probe(representations, index[times], training)
    result = result.assign_coords(time=time).assign(
        jet_latitude=("time", index[times], {"units": "degrees_north"}), training=("time", training)
    )
    write_results(result, output, options)
    return result


def _representations(
    metric: LearnedMetric,
    source: Any,
    places: list[int],
    times: np.ndarray,
    training: np.ndarray,
    layer: str,
    sector: tuple[float, float] | None,
    components: int,
    seed: int,
) -> dict[str, np.ndarray]:
    untrained = random_metric(metric, seed=seed)
    columns = slice(None) if sector is None else source.grid.columns_between(*sector)
    learned, random, raw = [], [], []
    with progress.progress_bar("features", len(times), "fields") as advance:
        for part in chunks(source, times):
            fields = source.read(part)[..., places]
            for held, one in ((learned, metric), (random, untrained)):
                held.append(row_features(one, fields, layer, grid=source.grid, sector=sector))
            normalised = metric.normalise(fields[:, :, columns], xp=np)
            raw.append(normalised.reshape(len(part), -1).astype(np.float32))
            advance(len(part))
    fields = np.concatenate(raw)
    count = min(components, int(training.sum()) - 1, fields.shape[1])
    pca = PCA(count, svd_solver="randomized", random_state=seed).fit(fields[training])
    return {
        "learned": np.concatenate(learned),
        "pca": pca.transform(fields),
        "random": np.concatenate(random),
        "mean": np.zeros((len(times), 1)),
    }
