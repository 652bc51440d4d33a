"""Ridge regression on time series, and the uncertainty of its score."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score

from phire.errors import InputError

ALPHAS = np.logspace(-2, 7, 19)
FOLDS = 5
RESAMPLINGS = 1000


def integral_time(values: np.ndarray, interval: float) -> float:
    """Computes the integral time scale: interval · (1 + 2 Σ autocorrelation up to its first zero).

    Args:
        values: (series, time) series of the same process, centred on their common mean.
        interval: Time between values; the result has its unit.
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
    """Standardises features by their mean and standard deviation over the samples ``fit``.

    The standard deviation is raised to at least a thousandth of the largest one. Otherwise a
    feature that is almost constant over these samples, but not over others, would dominate.
    """
    mean, std = features[fit].mean(axis=0), features[fit].std(axis=0)
    return (features - mean) / (np.maximum(std, 1e-3 * std.max()) if std.max() > 0 else 1.0)


def time_folds(
    days: np.ndarray, gap: float, count: int = FOLDS
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divides time into consecutive blocks for cross-validation.

    Samples within ``gap`` days of a validation block are excluded from the fit, because samples
    close in time are correlated, and more so after filtering.

    Args:
        days: (samples,) times in days, in any order.
        gap: Excluded time on either side of a block, days.
        count: Number of blocks.

    Returns:
        Indices to fit on, and indices to validate on, for each block.
    """
    edges = np.linspace(days.min(), np.nextafter(days.max(), np.inf), count + 1)
    folds = []
    for start, stop in itertools.pairwise(edges):
        validation = (days >= start) & (days < stop)
        near = (days >= start - gap) & (days < stop + gap)
        if validation.any() and not near.all():
            folds.append((np.flatnonzero(~near), np.flatnonzero(validation)))
    return folds


def r2_range(
    target: np.ndarray, prediction: np.ndarray, days: np.ndarray, block: float, *, seed: int = 0
) -> tuple[float, float]:
    """Computes the 5th and 95th percentile of R² by a block bootstrap in time.

    Args:
        target, prediction: (samples,) values.
        days: (samples,) times in days; samples of one block are drawn together.
        block: Length of a block, days.
        seed: Seed of the bootstrap.
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
        representations: Predictors (samples, features) by name; or a list of these, from which
            cross-validation chooses, together with the penalty.
        target: (samples,) target.
        training: (samples,) True for samples to fit on, False for held-out samples. Samples whose
            target is NaN are ignored.
        days: (samples,) times in days; by default one sample per day.
        gap: Days to exclude around validation blocks; see :func:`time_folds`.

    Returns:
        Over ``representation``: on the held-out samples ``r2``, ``r2_low`` and ``r2_high``
        (:func:`r2_range`) and ``mean_absolute_error``; also ``ridge_penalty``, ``features`` (their
        number) and ``prediction(representation, sample)``.

    Raises:
        InputError: There are fewer than ten samples to fit or two held out, or the series is too
            short for the gap.
    """
    known = np.isfinite(target)
    fit, judge = known & training, known & ~training
    if fit.sum() < 10 or judge.sum() < 2:
        raise InputError(
            f"{fit.sum()} times to fit on and {judge.sum()} to test on are too few: pass a longer "
            "series."
        )
    days = np.arange(len(target), dtype=float) if days is None else days
    folds = time_folds(days[fit], gap)
    if len(folds) < 2:
        raise InputError(
            f"{np.ptp(days[fit]):.0f} days to fit on are too few to keep {gap:g} days between "
            "blocks of the cross-validation: pass a longer series."
        )
    predictions, scores = [], []
    for candidates in representations.values():
        candidates = [candidates] if isinstance(candidates, np.ndarray) else candidates
        model, features = _best_ridge(candidates, target, fit, folds)
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


def _best_ridge(
    candidates: Sequence[np.ndarray], target: np.ndarray, fit: np.ndarray, folds: Sequence[tuple]
) -> tuple[RidgeCV, np.ndarray]:
    """Returns the ridge regression with the best score of the cross-validation.

    Args:
        candidates: Predictors (samples, features) to choose from.
        target: (samples,) target.
        fit: (samples,) True for samples to fit on.
        folds: Indices of training and validation samples among these, by fold.

    Returns:
        The regression, and the standardised predictors that it is fitted on.
    """
    models = []
    for features in candidates:
        # float64, because the smallest penalties leave matrices that are singular in float32.
        features = standardised(np.asarray(features, np.float64), fit)
        ridge = RidgeCV(ALPHAS, cv=folds, scoring="neg_mean_squared_error")
        ridge.fit(features[fit], target[fit])
        models.append((ridge.best_score_, ridge, features))
    _, model, features = max(models, key=lambda one: one[0])
    return model, features
