"""The objectives of the pretext tasks: one step by hand, and that they learn."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.errors import InputError
from phire.networks import encoder as encoders
from phire.networks.decoders import reconstruction_network
from phire.networks.temporal_distance_head import temporal_distance_network
from phire.rplearn.reconstruction import Autoencoder, Inpainting, hole_of
from phire.rplearn.temporal_distance import TemporalDistance, mirrored, scores

SMALL = {"filters": (4, 8), "blocks": (1, 1)}


def encoder(channels=1, size=16):
    keras.utils.set_random_seed(0)
    return encoders.build("tiny", (size, size, channels), options=SMALL)


def brightening(count=64, classes=4, seed=0):
    """Pairs whose second patch is the brighter the greater the lag."""
    rng = np.random.default_rng(seed)
    label = rng.integers(1, classes + 1, count)
    first = rng.standard_normal((count, 16, 16, 1)).astype(np.float32)
    second = first + label[:, None, None, None].astype(np.float32)
    return {
        "first": tf.constant(first),
        "second": tf.constant(second),
        "label": tf.constant(label, tf.int64),
    }


def temporal(**options):
    network = temporal_distance_network(encoder(), 4, head_filters=8)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=5)
    return TemporalDistance(network, optimizer, **options)


def test_scores_of_known_logits():
    logits = tf.math.log([[0.5, 0.3, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4]])
    found = scores(logits, tf.constant([2, 1], tf.int64))
    assert float(found["cross_entropy"]) == pytest.approx(-np.log([0.3, 0.1]).mean())
    assert float(found["accuracy"]) == 0
    assert float(found["top_3_accuracy"]) == 0.5


def test_a_network_that_tells_nothing_hits_nothing_by_ties():
    """As for a lag told by argmax: of equal logits the first class is the one that is told."""
    found = scores(tf.zeros((8, 8)), tf.range(1, 9, dtype=tf.int64))
    assert float(found["accuracy"]) == 1 / 8
    assert float(found["top_3_accuracy"]) == 3 / 8
    of_two = scores(tf.zeros((2, 2)), tf.constant([1, 2], tf.int64))
    assert (float(of_two["accuracy"]), float(of_two["top_3_accuracy"])) == (1 / 2, 1)


def test_a_step_of_temporal_distance_is_sgd_on_the_cross_entropy():
    objective = temporal()
    batch = brightening(8)
    network = objective.network
    kernel = network.get_layer("logits").kernel
    with tf.GradientTape() as tape:
        logits = network([batch["first"], batch["second"]], training=True)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
            batch["label"] - 1, logits
        ) + tf.add_n(network.losses)
    gradient = tf.clip_by_norm(tape.gradient(loss, kernel.value), 5)
    before = np.array(kernel)
    found = objective.train_step(batch)
    assert float(found["loss"]) == pytest.approx(float(loss), rel=1e-5)
    np.testing.assert_allclose(np.array(kernel), before - 0.1 * gradient.numpy(), atol=1e-6)


def test_label_smoothing_is_keras_s():
    objective = temporal(label_smoothing=0.2)
    batch = brightening(8)
    network = objective.network
    logits = network([batch["first"], batch["second"]], training=True)
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)(
        tf.one_hot(batch["label"] - 1, 4), logits
    ) + tf.add_n(network.losses)
    assert float(objective.train_step(batch)["loss"]) == pytest.approx(float(expected), rel=1e-5)


def test_temporal_distance_learns_and_validates():
    objective = temporal()
    batch = brightening()
    step = tf.function(objective.train_step)
    for _ in range(60):
        last = step(batch)
    assert float(last["accuracy"]) > 0.9
    weights = [np.array(w) for w in objective.network.get_weights()]
    found = objective.validation_step(batch)
    assert float(found["loss"]) == float(found["cross_entropy"])
    confusion = found["confusion"].numpy()
    told = np.asarray(objective.network([batch["first"], batch["second"]])).argmax(-1)
    for true, lag in zip(np.asarray(batch["label"]) - 1, told):
        confusion[true, lag] -= 1
    assert not confusion.any()
    for old, new in zip(weights, objective.network.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_both_patches_of_a_pair_are_mirrored_alike():
    first = tf.reshape(tf.range(6 * 4 * 5, dtype=tf.float32), (6, 4, 5, 1))
    a, b = mirrored(first, 10 * first, tf.constant([1, 2]))
    np.testing.assert_array_equal(10 * a, b)
    kinds = set()
    for given, found in zip(first.numpy(), a.numpy()):
        ways = {(r, c): given[::r, ::c] for r in (1, -1) for c in (1, -1)}
        match = [key for key, way in ways.items() if np.array_equal(way, found)]
        assert len(match) == 1
        kinds |= set(match)
    assert len(kinds) > 1


def stripes(count=32):
    rng = np.random.default_rng(0)
    height = rng.standard_normal((count, 1, 1, 1)) * np.linspace(-1, 1, 16)[None, :, None, None]
    patch = np.broadcast_to(height, (count, 16, 16, 1)).astype(np.float32)
    return {"first": tf.constant(patch)}


def test_autoencoder_learns_to_reconstruct():
    network = reconstruction_network(encoder(), (16, 16, 1), name="autoencoder", **SMALL)
    objective = Autoencoder(network, keras.optimizers.Adam(3e-3))
    batch = stripes()
    expected = np.mean((np.asarray(network(batch["first"])) - batch["first"]) ** 2)
    assert float(objective.validation_step(batch)["loss"]) == pytest.approx(expected, rel=1e-5)
    step = tf.function(objective.train_step)
    for _ in range(80):
        last = step(batch)
    assert float(last["loss"]) < 0.5 * expected


def test_hole_is_the_central_quarter():
    assert hole_of((160, 160)) == (slice(60, 100), slice(60, 100))
    assert hole_of((32, 48)) == (slice(12, 20), slice(18, 30))
    with pytest.raises(InputError, match="no centre"):
        hole_of((3, 8))


def test_inpainting_sees_no_pixel_of_the_hole_and_learns():
    network = reconstruction_network(encoder(), (4, 4, 1), name="inpainting", **SMALL)
    objective = Inpainting(network, keras.optimizers.Adam(3e-3))
    batch = stripes()
    patch = batch["first"].numpy()
    other = patch.copy()
    other[:, 6:10, 6:10] = 99.0
    seen = []
    objective.network = lambda x, training: seen.append(np.asarray(x)) or network(x)
    objective.validation_step(batch)
    objective.validation_step({"first": tf.constant(other)})
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0][:, 6:10, 6:10], 0)
    objective.network = network
    first = float(objective.validation_step(batch)["loss"])
    step = tf.function(objective.train_step)
    for _ in range(40):
        last = step(batch)
    assert float(last["loss"]) < 0.5 * first


def test_inpainting_with_a_metric_weighs_features_and_pixels(metric):
    options = {"filters": (4, 8), "blocks": (1, 1)}
    network = reconstruction_network(encoder(2), (4, 4, 2), name="inpainting", **options)
    objective = Inpainting(network, keras.optimizers.Adam(1e-3), metric=metric)
    rng = np.random.default_rng(0)
    patch = rng.standard_normal((4, 16, 16, 2)).astype(np.float32)
    found = objective.validation_step({"first": tf.constant(patch)})
    surroundings = patch.copy()
    surroundings[:, 6:10, 6:10] = 0
    filled = surroundings.copy()
    filled[:, 6:10, 6:10] = np.asarray(network(surroundings))
    pixel = np.mean((filled - patch)[:, 6:10, 6:10] ** 2)
    learned = metric.distance(patch, filled, normalization=metric.normalization).mean()
    assert float(found["pixel_loss"]) == pytest.approx(pixel, rel=1e-4)
    assert float(found["learned_loss"]) == pytest.approx(learned, rel=1e-3)
    assert float(found["loss"]) == pytest.approx(0.9 * learned + 0.1 * pixel, rel=1e-3)
    before = [np.array(w) for w in metric.encoder.get_weights()]
    objective.train_step({"first": tf.constant(patch)})
    for old, new in zip(before, metric.encoder.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_the_panel_shows_shares_of_each_true_lag():
    objective = temporal()
    counts = np.zeros((objective.classes, objective.classes), np.int32)
    counts[0, :2] = [3, 1]
    image = objective.panels({}, {"confusion": counts})["confusion"]
    width = image.shape[1] // objective.classes
    cells = image[0, ::width, ::width, 0]
    expected = np.zeros(counts.shape)
    expected[0, :2] = [0.75, 0.25]
    np.testing.assert_allclose(cells, expected)
    assert objective.panels({}, {}) == {}
