"""How much of the jet's latitude lies in frozen features: a linear probe beside its rivals.

The index is a mean over weeks, which no single field can know: the predictors are therefore passed
through the index's own low-pass filter, all of them alike. What varies within ten days is gone from
both, so that a season holds a few dozen independent samples at most; where sectors of longitude are
alike, each is a series of samples of its own.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import xarray as xr
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score

from phire import files, progress
from phire.errors import InputError
from phire.fields.grid import Grid
from phire.jetstream.index import DAY, jet_latitude, low_pass
from phire.rplearn.field_features import channel_places, chunks, feature_grid
from phire.rplearn.metric import LearnedMetric
from phire.rplearn.results import already_made, write_results

ALPHAS = np.logspace(-2, 7, 19)
FOLDS = 5
RESAMPLINGS = 1000
PREDICTORS = ("low-pass", "instantaneous")


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
    return sector_winds(source, [sector], wind=wind)[0]


def sector_winds(
    source: Any, sectors: Sequence[tuple[float, float] | None], *, wind: str | None = None
) -> np.ndarray:
    """Zonal wind averaged over several sectors: ``sector_wind`` of each, (sector, time, latitude),
    from one pass over the fields."""
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
    columns = [columns_of(source.grid, sector) for sector in sectors]
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
            u = np.asarray(u, np.float64)
            rows.append(np.stack([u[..., some].mean(axis=-1) for some in columns]))
            advance(len(part))
    return np.concatenate(rows, axis=1)


def columns_of(grid: Grid, sector: tuple[float, float] | None) -> Any:
    """What to index a sector's columns with; all of them for None."""
    return slice(None) if sector is None else grid.columns_between(*sector)


def cut_sectors(
    grid: Grid, sector: tuple[float, float] | None, count: int
) -> list[tuple[float, float] | None]:
    """Cuts a sector, or the whole width of the grid, into equal ones that share no column.

    Raises:
        InputError: Under two columns would be left to each.
    """
    if count == 1:
        return [sector]
    columns = np.arange(grid.shape[1])[columns_of(grid, sector)]
    width = len(columns) // count
    if width < 2:
        raise InputError(
            f"--sectors {count}: {len(columns)} columns cannot be cut into so many: name fewer."
        )
    parts = [columns[k * width : (k + 1) * width] for k in range(count)]
    return [(float(grid.longitudes[p[0]]), float(grid.longitudes[p[-1]])) for p in parts]


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


def rows_touching(count: int, inside: np.ndarray) -> np.ndarray:
    """Rows of a feature map that stand for at least one of the grid's wanted rows.

    Args:
        count: Rows of the feature map, each standing for an equal stretch of the grid's.
        inside: (rows of the grid,) True where wanted.
    """
    stretch = np.arange(len(inside)) * count // len(inside)
    return np.unique(stretch[inside])


def row_features(
    metric: LearnedMetric,
    fields: np.ndarray,
    layer: str,
    *,
    grid: Grid | None = None,
    sector: tuple[float, float] | None = None,
) -> np.ndarray:
    """Features averaged along each row of the feature map, so that they keep their latitude.

    Args:
        metric: The metric.
        fields: (n, H, W, C), whole fields: the sector's features see what surrounds it.
        layer: Layer name.
        grid: Of the fields; needed for a sector.
        sector: Western and eastern limit, degrees east; None means all columns.

    Returns:
        (n, rows · features).
    """
    return _row_means(metric.features(fields, layer=layer), grid, [sector])[0]


def _row_means(
    features: np.ndarray,
    grid: Grid | None,
    sectors: Sequence[tuple[float, float] | None],
    inside: np.ndarray | None = None,
) -> np.ndarray:
    """Means along the rows of feature maps (n, h, w, F) over sectors; of the rows that stand for
    grid rows ``inside`` only; (sector, n, rows · F)."""
    rows = slice(None) if inside is None else rows_touching(features.shape[1], inside)
    means = []
    for sector in sectors:
        columns = slice(None)
        if sector is not None:
            columns = feature_grid(grid, features.shape[1:3]).columns_between(*sector)
        means.append(features[:, rows][:, :, columns].mean(axis=2).reshape(len(features), -1))
    return np.stack(means)


def integral_time(values: np.ndarray, interval: float) -> float:
    """How long a series remembers: the interval · (1 + 2 Σ autocorrelation, up to its first zero).

    Args:
        values: (series, time): series of one process, centred on the mean of them all.
        interval: Between times; the result is in its units.
    """
    values = values - values.mean()
    power = (values**2).mean()
    total = 1.0
    for lag in range(1, values.shape[1]):
        correlation = (values[:, lag:] * values[:, :-lag]).mean() / power if power > 0 else 0.0
        if correlation <= 0:
            break
        total += 2 * correlation
    return interval * total


def standardised(features: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """Features less their mean over the samples ``fit``, over their standard deviation there.

    A feature that hardly varies there may do so elsewhere, and would then outweigh all others: the
    standard deviation counts as a thousandth of the greatest one's at least.
    """
    mean, std = features[fit].mean(axis=0), features[fit].std(axis=0)
    return (features - mean) / (np.maximum(std, 1e-3 * std.max()) if std.max() > 0 else 1.0)


def time_folds(
    days: np.ndarray, gap: float, count: int = FOLDS
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Stretches of time to validate on in turn.

    Neighbours in time are alike, and all the more where both were filtered: what lies within
    ``gap`` days of a stretch is not fitted on when it validates.

    Args:
        days: (samples,) in any order.
        gap: Days.
        count: Stretches.

    Returns:
        Indices to fit on and to validate on.
    """
    edges = np.linspace(days.min(), np.nextafter(days.max(), np.inf), count + 1)
    folds = []
    for start, stop in itertools.pairwise(edges):
        held = (days >= start) & (days < stop)
        near = (days >= start - gap) & (days < stop + gap)
        if held.any() and not near.all():
            folds.append((np.flatnonzero(~near), np.flatnonzero(held)))
    return folds


def r2_range(
    target: np.ndarray, prediction: np.ndarray, days: np.ndarray, block: float, *, seed: int = 0
) -> tuple[float, float]:
    """The 5th and 95th percentile of R² when stretches of time are drawn again with replacement.

    Args:
        target, prediction: (samples,).
        days: (samples,) times; samples of one stretch are drawn together.
        block: Days of a stretch.
        seed: Of the draws.
    """
    stretch = np.floor((days - days.min()) / block).astype(int)
    members = [np.flatnonzero(stretch == number) for number in np.unique(stretch)]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(RESAMPLINGS):
        drawn = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        if np.ptp(target[drawn]) > 0:
            values.append(r2_score(target[drawn], prediction[drawn]))
    if not values:
        return float("nan"), float("nan")
    low, high = np.percentile(values, [5, 95])
    return float(low), float(high)


def probe(
    representations: Mapping[str, np.ndarray | Sequence[np.ndarray]],
    target: np.ndarray,
    training: np.ndarray,
    *,
    days: np.ndarray | None = None,
    gap: float = 0.0,
) -> xr.Dataset:
    """Predicts a target from each representation by ridge regression.

    Args:
        representations: By name, (samples, features); or several such, of which the one with the
            least error in cross-validation is taken, as the penalty is.
        target: (samples,).
        training: (samples,) True where to fit, False where to judge; NaN targets are left out.
        days: (samples,) when they are; by default one after the other.
        gap: Days to keep between what is fitted and what is validated; see ``time_folds``.

    Returns:
        Over ``representation``: ``r2``, ``r2_low`` and ``r2_high`` (``r2_range``),
        ``mean_absolute_error`` on the held-out samples, ``ridge_penalty``, ``features``;
        ``prediction(representation, sample)``.

    Raises:
        InputError: Under ten samples to fit or two to judge; a series too short for the gap.
    """
    known = np.isfinite(target)
    fit, judge = known & training, known & ~training
    if fit.sum() < 10 or judge.sum() < 2:
        raise InputError(
            f"There are {fit.sum()} times to fit and {judge.sum()} to judge: pass a longer series."
        )
    days = np.arange(len(target), dtype=float) if days is None else days
    folds = time_folds(days[fit], gap)
    if len(folds) < 2:
        raise InputError(
            f"{np.ptp(days[fit]):.0f} days to fit on are too few to keep {gap:g} days between "
            "stretches of them: pass a longer series."
        )
    predictions, scores = [], []
    for candidates in representations.values():
        models = []
        for features in [candidates] if isinstance(candidates, np.ndarray) else candidates:
            # In float32 the smallest penalties leave near-singular matrices.
            features = standardised(np.asarray(features, np.float64), fit)
            ridge = RidgeCV(ALPHAS, cv=folds, scoring="neg_mean_squared_error")
            ridge.fit(features[fit], target[fit])
            models.append((ridge.best_score_, ridge, features))
        _, model, features = max(models, key=lambda one: one[0])
        prediction = model.predict(features)
        predictions.append(prediction)
        low, high = r2_range(target[judge], prediction[judge], days[judge], max(gap, 1.0))
        scores.append(
            (
                r2_score(target[judge], prediction[judge]),
                low,
                high,
                mean_absolute_error(target[judge], prediction[judge]),
                float(model.alpha_),
                features.shape[1],
            )
        )
    columns = zip(*scores)
    names = ("r2", "r2_low", "r2_high", "mean_absolute_error", "ridge_penalty", "features")
    return xr.Dataset(
        {
            **{name: ("representation", list(column)) for name, column in zip(names, columns)},
            "prediction": (("representation", "sample"), np.stack(predictions)),
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
        wind: Channel of zonal wind; see ``sector_wind``.
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
        overwrite: Make it anew if it is there.

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
        "metric": str(Path(metric).absolute()),
        "source": str(Path(source).absolute()),
        "fingerprints": [
            files.fingerprint(path) if Path(path).exists() else None for path in (metric, source)
        ],
        "layer": layer,
        "wind": wind,
        "sector": sector,
        "sectors": sectors,
        "band": band,
        "predictors": predictors,
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
    if predictors not in PREDICTORS:
        raise InputError(f"--predictors {predictors}: choose one of {', '.join(PREDICTORS)}.")
    if sectors < 1:
        raise InputError(f"--sectors {sectors}: name at least one.")
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
        cut = cut_sectors(opened.grid, sector, sectors)
        how = {"cutoff_days": cutoff_days, "window_days": window_days}
        index = np.stack(
            [
                jet_latitude(one, opened.grid.latitudes, step, band=band, **how)
                for one in sector_winds(opened, cut, wind=wind)
            ]
        )
        stride = max(1, round(every_hours * 3600 / step))
        times = np.arange(0, len(opened.time), stride)
        known = np.isfinite(index[0, times])
        filters = None
        if predictors == "low-pass":
            filters = {"step": stride * step, **how}
            known &= np.isfinite(low_pass(times.astype(float), **filters))
        known_days = opened.time.values[times] / DAY
        training = np.cumsum(known) <= round(known.sum() * (1 - held_out))
        gap = ~training & (known_days < known_days[known & training].max() + cutoff_days)
        known &= ~gap
        representations = _representations(
            loaded, opened, places, times, known, training[known], layer, cut, band, filters,
            components, seed,
        )  # fmt: skip
        times, training, days = times[known], training[known], known_days[known]
        time = opened.time[times].to_coordinate()
    index = index[:, times]
    result = probe(
        representations,
        index.ravel(),
        np.tile(training, sectors),
        days=np.tile(days, sectors),
        gap=cutoff_days,
    )
    shape = (len(representations), sectors, len(times))
    memory = integral_time(index, stride * step / DAY)
    per_day = sectors * stride * step / DAY / memory
    result = result.assign(
        prediction=(
            ("representation", "sector", "time"), result["prediction"].to_numpy().reshape(shape)
        ),
        jet_latitude=(("sector", "time"), index, {"units": "degrees_north"}),
        training=("time", training),
        index_std=((), index.std(), {"units": "degrees"}),
        index_memory=((), memory, {"units": "days"}),
        samples_fitted=training.sum() * per_day,
        samples_judged=(~training).sum() * per_day,
    ).assign_coords(time=time)  # fmt: skip
    write_results(result, output, options)
    return result


def _representations(
    metric: LearnedMetric,
    source: Any,
    places: list[int],
    times: np.ndarray,
    known: np.ndarray,
    training: np.ndarray,
    layer: str,
    sectors: Sequence[tuple[float, float] | None],
    band: tuple[float, float],
    filters: Mapping[str, Any] | None,
    components: int,
    seed: int,
) -> dict[str, np.ndarray | list[np.ndarray]]:
    """Predictors of all representations, sector after sector, at the ``known`` ones of ``times``;
    ``training`` are those of the known that the PCA is fitted on."""
    untrained = random_metric(metric, seed=seed)
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
            for held, one in ((learned, metric), (random, untrained)):
                features = one.features(fields, layer=layer)
                held.append(_row_means(features, grid, sectors, inside))
            standard = ((fields - mean) / std).astype(np.float32)
            rows.append(_row_means(standard, grid, sectors, inside))
            raw.append([standard[:, inside][:, :, some].reshape(len(part), -1) for some in columns])
            advance(len(part))

    def series(parts: Sequence[Any]) -> np.ndarray:
        # (sector · time, features), one sector at a time for the filter's sake.
        of_sectors = []
        for k in range(len(sectors)):
            values = np.concatenate([part[k] for part in parts])
            if filters is not None:
                values = low_pass(values, **filters)
            of_sectors.append(values[known].astype(np.float32))
        return np.concatenate(of_sectors)

    fields = series(raw)
    fitted = fields[np.tile(training, len(sectors))]
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
