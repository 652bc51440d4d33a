"""Scores of predicted lags against closed forms and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from phire.errors import InputError
from phire.rplearn.calibration import lag_scores, reliability


def test_scores_of_known_logits():
    logits = np.log(np.array([[0.5, 0.3, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]]))
    scores = lag_scores(logits, np.array([1, 1, 2]))
    assert float(scores.cross_entropy) == pytest.approx(-np.log([0.5, 0.1, 0.1]).mean())
    assert float(scores.accuracy) == pytest.approx(1 / 3)
    np.testing.assert_array_equal(
        scores.confusion, [[1, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    )
    assert scores.confusion.dims == ("lag", "predicted_lag")
    assert list(scores.lag.values) == [1, 2, 3, 4]


def test_top_3_counts_by_brute_force():
    rng = np.random.default_rng(1)
    logits, labels = rng.standard_normal((500, 8)), rng.integers(1, 9, 500)
    scores = lag_scores(logits, labels)
    best = np.argsort(-logits, axis=1)[:, :3]
    assert float(scores.top_3_accuracy) == pytest.approx(
        np.mean([label - 1 in row for label, row in zip(labels, best)])
    )
    assert float(scores.accuracy) == accuracy_score(labels - 1, logits.argmax(axis=1))


@pytest.mark.parametrize("classes", [2, 3])
def test_every_lag_is_among_the_first_three_of_three(classes):
    scores = lag_scores(np.zeros((4, classes)), np.array([1, 2, 1, 2]))
    assert float(scores.top_3_accuracy) == 1


def test_calibration_error_of_calibrated_and_of_overconfident_predictions():
    rng = np.random.default_rng(2)
    right = rng.uniform(0.5, 1.0, 100_000)
    labels = (rng.uniform(size=right.size) > right).astype(int)
    _, error = reliability(np.stack([right, 1 - right], axis=1), labels)
    assert error < 0.01
    certain = np.tile([1.0, 0.0], (100, 1))
    table, error = reliability(certain, np.repeat([0, 1], [75, 25]))
    assert error == pytest.approx(0.25)
    assert float(table["accuracy"][-1]) == pytest.approx(0.75)
    assert int(table["count"].sum()) == 100


def test_nothing_to_judge_is_refused():
    with pytest.raises(InputError, match="no predictions"):
        reliability(np.zeros((0, 3)), np.zeros(0, int))
