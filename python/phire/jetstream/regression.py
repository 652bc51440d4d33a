"""Ridge regression on series of time, and how sure its score is."""

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
    """Computes a series' memory: interval · (1 + 2 Σ autocorrelation, up to its first zero).

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
