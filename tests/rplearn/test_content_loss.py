"""The learned metric as a loss in anyone's network."""

import keras
import numpy as np
import pytest

from phire.errors import InputError
from phire.rplearn.content_loss import ContentLoss


def test_loss_is_the_learned_distance_plus_the_pixel_error(metric, fields, normalization):
    x, y = fields(seed=1), fields(seed=2)
    distance = metric.distance(x, y)
    assert float(ContentLoss(metric)(x, y)) == pytest.approx(distance.mean(), rel=1e-4)
    pixel = np.mean((normalization.apply(x) - normalization.apply(y)) ** 2)
    both = ContentLoss(metric, learned_weight=0.9, pixel_weight=0.1, reduction=None)
    np.testing.assert_allclose(np.mean(both(x, y)), 0.9 * distance.mean() + 0.1 * pixel, rtol=1e-4)
    layers = ContentLoss(metric, layers=("stage1", "stage2"))
    expected = np.mean([v.mean() for v in metric.distance(x, y, per_layer=True).values()])
    assert float(layers(x, y)) == pytest.approx(expected, rel=1e-4)


def test_loss_in_the_normalised_space(metric, fields, normalization):
    x, y = fields(seed=1), fields(seed=2)
    loss = ContentLoss(metric, normalization=normalization)
    found = loss(*[normalization.apply(v).astype(np.float32) for v in (x, y)])
    assert float(found) == pytest.approx(metric.distance(x, y).mean(), rel=1e-3)


@pytest.mark.slow
def test_a_plain_keras_model_trains_with_it_and_survives_saving(
    metric, fields, normalization, tmp_path
):
    target = normalization.apply(fields(8, seed=3)).astype(np.float32)
    noisy = target + 0.5 * np.random.default_rng(0).standard_normal(target.shape).astype("f4")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((16, 16, 2)), keras.layers.Conv2D(2, 3, padding="same", name="only")]
    )
    loss = ContentLoss(metric, normalization=normalization, learned_weight=0.7, pixel_weight=0.3)
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss=loss)
    encoder_before = [np.array(w) for w in metric.encoder.get_weights()]
    losses = model.fit(noisy, target, epochs=15, batch_size=4, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    for old, new in zip(encoder_before, metric.encoder.get_weights()):
        np.testing.assert_array_equal(old, new)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(
        tmp_path / "model.keras", custom_objects={"ContentLoss": ContentLoss}
    )
    assert loaded.evaluate(noisy, target, verbose=0) == pytest.approx(
        model.evaluate(noisy, target, verbose=0), rel=1e-5
    )
    assert isinstance(loaded.loss, ContentLoss)
    assert loaded.loss.metric.description() == metric.description()
    continued = loaded.fit(noisy, target, epochs=2, batch_size=4, verbose=0).history["loss"]
    assert continued[-1] < losses[0]


def test_wrong_use_is_refused(metric, fields):
    with pytest.raises(InputError, match="has 1 channel"):
        ContentLoss(metric)(fields()[..., :1], fields()[..., :1])
    with pytest.raises(InputError, match="no scale"):
        ContentLoss(metric, layers=("convolution",))
    with pytest.raises(InputError, match="neither weight may be negative"):
        ContentLoss(metric, learned_weight=0.0)
    with pytest.raises(InputError, match="neither weight may be negative"):
        ContentLoss(metric, pixel_weight=-1.0)
