"""Accuracy and calibration of predicted lags."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.special import softmax

from phire.errors import InputError


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, *, bins: int = 15
) -> tuple[xr.Dataset, float]:
    """Computes accuracy as a function of the predicted probability (a reliability diagram).

    Args:
        probabilities: (n, classes).
        labels: (n,) true classes, from 0.
        bins: Number of equal bins of the predicted class's probability.

    Returns:
        A dataset over ``bin`` (bin centres) with ``confidence``, ``accuracy``, ``count``; and the
        expected calibration error, Σ count/n · |accuracy − confidence| (Guo et al. 2017,
        https://arxiv.org/abs/1706.04599).

    Raises:
        InputError: There are no predictions.
    """
    if len(labels) == 0:
        raise InputError("There are no predictions to judge: pass at least one.")
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(index, confidence, bins) / count
        accuracy = np.bincount(index, correct, bins) / count
    error = float(np.nansum(count * np.abs(accuracy - mean_confidence)) / len(labels))
    table = xr.Dataset(
        {
            "confidence": ("bin", mean_confidence),
            "accuracy": ("bin", accuracy),
            "count": ("bin", count),
        },
        coords={"bin": (np.arange(bins) + 0.5) / bins},
    )
    return table, error


def lag_scores(logits: np.ndarray, labels: np.ndarray) -> xr.Dataset:
    """Computes the scores of a network that predicts the lag.

    Args:
        logits: (n, classes).
        labels: (n,) true lags, from 1.

    Returns:
        Scalars ``cross_entropy`` (nats), ``accuracy``, ``top_3_accuracy``,
        ``expected_calibration_error``; counts ``confusion(lag, predicted_lag)``; and, over ``bin``,
        ``reliability_accuracy``, ``reliability_confidence`` and ``reliability_count``.
    """
    from sklearn.metrics import confusion_matrix, log_loss, top_k_accuracy_score

    classes = logits.shape[1]
    probabilities = softmax(logits.astype(np.float64), axis=-1)
    truth = np.asarray(labels) - 1
    every = np.arange(classes)
    table, error = reliability(probabilities, truth)
    # With at most three lags the score is 1 by definition, and scikit-learn warns of it.
    top = top_k_accuracy_score(truth, logits, k=3, labels=every) if classes > 3 else 1.0
    scores = xr.Dataset(
        {
            "cross_entropy": float(log_loss(truth, probabilities, labels=every)),
            "accuracy": float((probabilities.argmax(axis=1) == truth).mean()),
            "top_3_accuracy": float(top),
            "expected_calibration_error": error,
            "confusion": (
                ("lag", "predicted_lag"),
                confusion_matrix(truth, probabilities.argmax(axis=1), labels=every),
            ),
        },
        coords={"lag": every + 1, "predicted_lag": every + 1},
    )
    return scores.merge(table.rename({name: f"reliability_{name}" for name in table.data_vars}))
