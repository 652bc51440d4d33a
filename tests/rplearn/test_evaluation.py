"""Evaluation against lag on pairs whose answers are known."""

from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.networks import encoder as encoders
from phire.networks.temporal_distance_head import temporal_distance_network
from phire.rplearn.evaluation import check_pairs, score_table
from phire.rplearn.pair_model import PairModel, encoder_of, stages
from phire.rplearn.pair_scores import Pairs, evaluate_network, evaluate_pixels, z_scored

LOG1P = Normalization("log1p", ("a", "b"), (1.0, 2.0), (3.0, 4.0), (0.1, 0.0), (0.2, 0.3))


class ArrayRecords:
    """Pairs in memory, handed out as the reader of records does."""

    def __init__(self, first, second, label, normalization):
        self.arrays = {"first": first, "second": second, "label": label}
        self.count = len(label)
        self.manifest = SimpleNamespace(schema=SimpleNamespace(normalization=normalization))

    def count_classes(self, classes):
        return int((self.arrays["label"] <= classes).sum())

    def dataset(self, batch_size, *, drop_remainder, classes, limit):
        keep = self.arrays["label"] <= classes
        arrays = {name: values[keep] for name, values in self.arrays.items()}
        data = tf.data.Dataset.from_tensor_slices(arrays)
        data = data if limit is None else data.take(limit * batch_size)
        return data.batch(batch_size, drop_remainder=drop_remainder)


def made(count=96, classes=4, size=16, channels=2, normalization=LOG1P, seed=0, batches=None):
    """Pairs that lie the further apart the greater the lag."""
    rng = np.random.default_rng(seed)
    label = rng.integers(1, classes + 1, count)
    first = rng.standard_normal((count, size, size, channels)).astype(np.float32)
    noise = rng.standard_normal(first.shape).astype(np.float32)
    second = first + 0.2 * label[:, None, None, None].astype(np.float32) * noise
    records = ArrayRecords(first, second, label, normalization)
    return Pairs(records, normalization, classes, 10, batches)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    encoder = encoders.build("tiny", (16, 16, 2))
    return temporal_distance_network(encoder, 4, head_filters=8)


def test_pair_model_gives_the_network_s_logits_and_the_features_distances(network):
    pairs = made(10)
    (first, second, _), *_ = list(pairs)
    logits, distances = PairModel(network)(first, second)
    np.testing.assert_allclose(logits, np.asarray(network([first, second])), rtol=1e-5, atol=1e-6)
    assert list(distances) == ["stage1", "stage2", "stage3", "stage4"]
    encoder = encoder_of(network)
    for name, found in distances.items():
        model = keras.Model(encoder.inputs[0], encoder.get_layer(name).output)
        expected = np.mean((np.asarray(model(first)) - model(second)) ** 2, axis=(1, 2, 3))
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_pair_model_of_a_network_that_tells_no_lag(network):
    encoder = encoder_of(network)
    logits, distances = PairModel(encoder, ["stage3"])(*next(iter(made(10)))[:2])
    assert logits is None and list(distances) == ["stage3"]
    with pytest.raises(InputError, match="choose among stage1"):
        PairModel(network, ["stage8"])
    with pytest.raises(InputError, match="no layer named 'encoder'"):
        encoder_of(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    assert stages(encoder) == ["stage1", "stage2", "stage3", "stage4"]


def test_pixels_by_brute_force():
    pairs = made(60)
    result = evaluate_pixels(pairs)
    arrays = pairs.records.arrays
    difference = arrays["first"].astype(np.float64) - arrays["second"]
    plain = z_scored(arrays["first"], LOG1P) - z_scored(arrays["second"], LOG1P)
    for lag in (1, 4):
        of = arrays["label"] == lag
        expected = (difference[of] ** 2).mean()
        assert float(result["mean"].sel(measure="l2", lag=lag)) == pytest.approx(expected)
        assert float(result["l2_without_log1p"].sel(lag=lag)) == pytest.approx(
            (plain[of] ** 2).mean(), rel=1e-4
        )
    assert float(result["scale"].sel(measure="l2")) == pytest.approx(1)
    assert float(result["spearman"].sel(measure="l2")) > 0.9
    both = np.concatenate([arrays["first"], arrays["second"]])
    np.testing.assert_allclose(result["highest"], both.max(axis=(0, 1, 2)))
    width = float(result.value[1] - result.value[0])
    np.testing.assert_allclose(result["density"].sum("value") * width, 1, atol=2e-3)


def test_z_scores_undo_the_logarithm_alone():
    physical = np.random.default_rng(0).standard_normal((4, 4, 2)) * 5
    expected = (physical - [1.0, 2.0]) / [3.0, 4.0]
    np.testing.assert_allclose(z_scored(LOG1P.apply(physical), LOG1P), expected, rtol=1e-6)
    plain = Normalization("z", ("a", "b"), (1.0, 2.0), (3.0, 4.0))
    assert z_scored(physical, plain) is physical


def test_pairs_of_another_normalization_are_brought_to_the_training_one():
    own = Normalization("z", ("a", "b"), (0.0, 0.0), (2.0, 2.0))
    pairs = made(20, normalization=own)
    same = list(pairs)
    moved = list(replace(pairs, normalization=LOG1P))
    np.testing.assert_allclose(
        moved[1][0], LOG1P.apply(own.invert(same[1][0])), rtol=1e-4, atol=1e-6
    )


def test_network_s_scores_and_scales(network):
    pairs = made(95, batches=8)
    pixels = evaluate_pixels(pairs)
    result = evaluate_network(network, pairs, pixels)
    assert int(result["confusion"].sum()) == 80
    assert 0 <= float(result["accuracy"]) <= 1
    squared = pixels["mean"].sel(measure="l2")
    for layer in ("stage1", "stage4"):
        of = result.sel(layer=layer)
        feature, error = (x.to_numpy()[2:] for x in (of["feature_distance_mean"], squared))
        assert float(of["scale"]) == pytest.approx((feature * error).sum() / (feature**2).sum())
        np.testing.assert_allclose(
            of["learned_mean"], of["feature_distance_mean"] * float(of["scale"])
        )
        # Noise that grows with the lag moves the features of any network.
        assert float(of["spearman"]) > 0.5
    table = score_table({3: result, 1: result})
    assert list(table["epoch"]) == [1, 3] and "spearman_stage2" in table


def test_records_unlike_the_training_ones_are_refused(tmp_path):
    trained = SimpleNamespace(step=3600, patch=(16, 16), classes=4, check_fields=lambda *a: None)
    good = SimpleNamespace(
        kind="pairs", channels=("a",), units=("K",), step=3600, patch=(16, 16), classes=4
    )
    check_pairs(good, trained, tmp_path)

    def refused(said, **change):
        with pytest.raises(InputError, match=said):
            check_pairs(SimpleNamespace(**{**vars(good), **change}), trained, tmp_path)

    refused("downscaling records", kind="downscaling")
    refused("time step of 7200", step=7200)
    refused("patches of", patch=(8, 8))
    refused("lags up to 3", classes=3)
