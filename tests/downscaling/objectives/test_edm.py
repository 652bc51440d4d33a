"""EDM: its loss by hand, masks, scales measured on the records, a training."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from complete_samples import batch, schema
from phire.downscaling import train_generator
from phire.downscaling.denoising import DenoisedFields
from phire.downscaling.diffusion_target import DiffusionTarget, with_measured_scales
from phire.downscaling.generator_task import Task
from phire.downscaling.generator_training import objectives
from phire.downscaling.samplers import mode_variances, sigma_range
from phire.errors import InputError
from phire.networks import network as networks
from phire.records import open_records, write_downscaling_records
from phire.records.schema import SampleSchema
from phire.training import open_run
from phire.training.step_graphs import Stepper

NETWORK = "unet,widths=[4,8],blocks=1,groups=2"
SMALL = "unet,widths=[4],blocks=1,groups=2"
SCALES = "sigma_data=[0.5],sigma_min=0.02,sigma_max=20"


def built(specification=f"edm,{SCALES}", network=NETWORK, **options):
    keras.utils.set_random_seed(2)
    made = objectives.build(specification, Task(schema(), *networks.resolve(network), **options))
    made.step_seed = tf.constant([5, 6])
    return made


def test_the_loss_of_a_network_that_gives_nothing_is_that_of_the_formula():
    made = built()
    assert float(made.levels(tf.constant([0.5]))[0]) == pytest.approx(np.exp(-0.8))
    arrays = batch()
    clean = np.asarray(made.target.scaled(arrays["high"], arrays))
    noise = tf.random.stateless_normal(clean.shape, [5, 6 ^ (1 << 20)]).numpy()
    within = tf.random.stateless_uniform([4], [5, 6 ^ (2 << 20)]).numpy()
    quantile = (np.arange(4) + within) / 4
    sigma = np.exp(-0.8 + 1.3 * scipy.special.ndtri(quantile))[:, None, None, None]
    noisy = clean + sigma * noise
    # D = c_skip·x of F = 0, and λ = (σ² + 1)/σ² of unit data (Karras et al. 2022, table 1).
    squares = (sigma**2 + 1) / sigma**2 * (noisy / (sigma**2 + 1) - clean) ** 2
    valid = arrays["valid"].numpy()
    expected = (squares * valid).sum((1, 2, 3)) / valid.sum((1, 2, 3))
    found = {name: float(value) for name, value in made.validation_step(arrays).items()}
    assert found["loss"] == pytest.approx(expected.mean(), rel=1e-5)
    for i, value in enumerate(expected):
        assert found[f"loss_sigma_{i + 1}"] == pytest.approx(value, rel=1e-5)


SPECIFICATIONS = [
    f"edm,{SCALES}", f"edm,{SCALES},log_uniform=0.5,weight=soft-min-snr,target=field",
    f"flow,{SCALES}", f"vp,{SCALES}", f"ddpm,{SCALES},prediction=v,min_snr=5",
    f"edm,{SCALES},condition_dropout=0.5",
]  # fmt: skip


@pytest.mark.parametrize("specification", SPECIFICATIONS)
def test_no_invalid_value_enters_a_loss_and_steps_are_reproducible(specification):
    found = []
    for poison in (0.0, 1e30, np.nan):
        made = built(specification, SMALL)
        scalars = {**made.validation_step(batch(poison)), **made.whole_step(batch(poison))}
        weights = [np.array(w) for w in made.generator.weights]
        found.append(({name: float(value) for name, value in scalars.items()}, weights))
    for scalars, weights in found[1:]:
        assert scalars == found[0][0]
        for a, b in zip(weights, found[0][1]):
            np.testing.assert_array_equal(a, b)
    assert np.isfinite(list(found[0][0].values())).all()


@pytest.mark.parametrize("specification", SPECIFICATIONS)
def test_it_learns_in_the_loops_graphs(specification):
    made = built(specification, SMALL)
    made.optimizers["generator"].learning_rate.assign(0.02)
    stepper = Stepper(made, tf.distribute.OneDeviceStrategy("/cpu:0"), False, seed=3)

    def batches(shard):
        return tf.data.Dataset.from_tensors(batch()).repeat(50)

    def score():
        return stepper.validate(lambda shard: tf.data.Dataset.from_tensors(batch()))[0]["loss"]

    before = score()
    taken = stepper.train(stepper.iterator(batches), 0, 40)
    assert (taken.steps, taken.broken) == (40, ())
    assert score() < 0.9 * before
    assert score() == score()


@pytest.mark.parametrize("specification", SPECIFICATIONS)
def test_panels_show_the_field_that_a_prediction_means(specification):
    """A network that told the truth's mixture would be shown as the truth."""
    made, arrays = built(specification), batch()
    clean = made.clean(arrays)
    told = made.at_level(tf.fill([4], 0.5))
    noise = tf.random.stateless_normal(tf.shape(clean), [1, 2])
    given = told.signal * clean + told.noise * noise
    answer = told.target_signal * clean + told.target_noise * noise
    np.testing.assert_allclose(made.denoised(told, given, answer), clean, atol=1e-4)
    (strip,) = made.panels(arrays, {}).values()
    assert strip.shape == (4, 8, 24, 1) and strip.min() >= 0 and strip.max() <= 1


def test_conditions_are_dropped_for_their_share_of_samples():
    made = built(f"edm,{SCALES},condition_dropout=0.3")
    arrays = {name: tf.repeat(value, 500, axis=0) for name, value in batch().items()}
    found = made.without_some_conditions(arrays, tf.constant([1, 2]))
    dropped = (found["low"].numpy() == 0).all((1, 2, 3))
    assert 0.26 < dropped.mean() < 0.34
    np.testing.assert_array_equal(found["low"][~dropped], arrays["low"][~dropped])
    np.testing.assert_array_equal(found["high"], arrays["high"])
    with pytest.raises(InputError, match="condition_dropout=1 must lie in"):
        built(f"edm,{SCALES},condition_dropout=1")


def test_a_share_of_the_levels_may_be_log_uniform():
    made = built(f"edm,{SCALES},log_uniform=0.3")
    quantile = np.random.default_rng(1).random(3000).astype("f4")
    found = np.asarray(made.levels(tf.constant(quantile)))
    normal = np.exp(-0.8 + 1.3 * scipy.special.ndtri(quantile))
    uniform = 0.02 * 1000**quantile
    of_uniform = np.isclose(found, uniform, rtol=1e-4)
    np.testing.assert_allclose(found[~of_uniform], normal[~of_uniform], rtol=1e-4)
    assert of_uniform.mean() == pytest.approx(0.3, abs=0.03)
    assert scipy.stats.kstest(quantile[of_uniform], "uniform").pvalue > 0.01


def test_batches_of_one_are_validated_at_all_levels_the_same_in_every_epoch():
    made = built()
    levels, seen = made.levels, []
    made.levels = lambda quantile: seen.append(float(quantile[0])) or levels(quantile)
    single = {name: value[:1] for name, value in batch().items()}
    for _ in range(2):
        for number in range(16):
            made.step_seed = tf.constant([5, number])
            made.validation_step(single)
    assert seen[:16] == seen[16:]
    assert min(seen[:16]) < 0.25 and max(seen[:16]) > 0.75


def test_channels_are_weighed():
    arrays = batch()
    assert float(built(f"edm,{SCALES},channel_weights=[3]").validation_step(arrays)["loss"]) == (
        pytest.approx(float(built().validation_step(arrays)["loss"]))
    )
    with pytest.raises(InputError, match=r"channel_weights=\[1.0, 2.0\] must be one positive"):
        built(f"edm,{SCALES},channel_weights=[1,2]")


def test_the_target_is_inverted_and_subtracts_the_channel_of_both_sides():
    made, arrays = built(), batch()
    scaled = made.target.scaled(arrays["high"], arrays)
    np.testing.assert_allclose(made.target.fields(scaled, arrays), arrays["high"], atol=1e-5)
    constant = tf.tile(tf.constant([[[[7.0, 3.0]]]]), [1, 6, 6, 1])
    base = made.target.base({"low": constant})
    np.testing.assert_allclose(base, np.full((1, 8, 8, 1), 3), rtol=1e-6)


def test_scales_are_measured_on_the_records(records):
    opened = open_records(records)
    options = objectives.resolve("edm,target=field")[1]
    found = with_measured_scales(options, opened.schema, opened)
    high = np.concatenate([b["high"] for b in opened.dataset(16, drop_remainder=False)])
    rms = np.sqrt((high.astype(float) ** 2).mean((0, 1, 2)))
    np.testing.assert_allclose(found["sigma_data"], rms, rtol=1e-5)
    least, most = sigma_range(mode_variances(high / rms))
    assert found["sigma_max"] == pytest.approx(most, rel=1e-4)
    assert found["sigma_min"] == pytest.approx(max(least, np.exp(-0.8 - 4 * 1.3)), rel=1e-4)
    residual = with_measured_scales(objectives.resolve("edm")[1], opened.schema, opened)
    assert max(residual["sigma_data"]) < 0.6 * min(found["sigma_data"])
    target = DiffusionTarget(opened.schema, "residual", tuple(residual["sigma_data"]))
    low = np.concatenate([b["low"] for b in opened.dataset(16, drop_remainder=False)])
    assert float(np.mean(np.square(target.scaled(high, {"low": low})))) == pytest.approx(
        1, rel=1e-4
    )


def test_a_run_keeps_the_scales_and_averages_weights(records, tmp_path):
    out = tmp_path / "run"
    options = {"network": SMALL, "objective": "edm", "epochs": (1,), "learning_rates": (1e-3,),
               "batch_size": 16, "validation": records}  # fmt: skip
    train_generator(records, out, **options)
    run = open_run(out)
    kept = run.config["objective"]
    assert len(kept["sigma_data"]) == 2 and 0 < kept["sigma_min"] < kept["sigma_max"]
    assert run.config["ema"] == 0.999
    assert {"val_loss", "val_loss_sigma_1", "loss_sigma_4"} <= set(run.history)
    network = run.network("generator")
    schema_kept = SampleSchema.from_dict(run.config["schema"])
    for tile in (4, 6):  # one that it was trained on, and another
        fields = DenoisedFields(network, schema_kept, kept, "euler,steps=2", tile=tile)
        low = np.zeros((1, 8, 16, 2), np.float32)
        fine = fields.sample({"low": low}, seed=0, times=[0], members=[0, 1], closed=True)
        assert fine.shape == (2, 1, 32, 64, 2) and np.isfinite(fine).all() and fine.std() > 0
    train_generator(records, out, **options)  # the same options: it is done


ERRORS = {
    "residual": (f"edm,target=rest,{SCALES}", {}, "target=rest must be one of residual, field"),
    "network": (f"edm,{SCALES}", {"network": "srgan-small"}, "network that can denoise, which srg"),
    "conserve": (f"edm,{SCALES}", {"conserve": True}, "--conserve applies to generators"),
    "weight": (f"edm,{SCALES},weight=big", {}, "weight=big must be one of edm"),
    "share": (f"edm,{SCALES},log_uniform=2", {}, "log_uniform=2 must lie between 0 and 1"),
    "scales": ("edm,sigma_data=[1,2],sigma_min=1,sigma_max=2", {}, "one positive number for each"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_mistakes_are_told(name):
    specification, options, message = ERRORS[name]
    with pytest.raises(InputError, match=message):
        built(specification, **options)


def test_levels_in_the_wrong_order_are_told(records):
    opened = open_records(records)
    options = objectives.resolve("edm,sigma_min=3,sigma_max=2")[1]
    with pytest.raises(InputError, match="sigma_min 3 must be above 0 and below sigma_max 2"):
        with_measured_scales(options, opened.schema, opened)


def test_a_residual_of_channels_that_low_lacks_is_told(records):
    opened = open_records(records)
    low = opened.schema.arrays["low"]
    other = dataclasses.replace(low, channels=("t", "q"), normalization=None)
    arrays = {**opened.schema.arrays, "low": other}
    strange = dataclasses.replace(opened.schema, arrays=arrays)
    with pytest.raises(InputError, match=r"has none of the targets .*choose target=field"):
        with_measured_scales(objectives.resolve("edm")[1], strange, opened)


@pytest.mark.parametrize("objective", ["edm", "flow,target=field", "ddpm"])
def test_windows_are_refused_before_anything_is_written(objective, store, tmp_path):
    windows = tmp_path / "records"
    write_downscaling_records(
        store, windows, patch=(8, 8), scale=4, patches_per_field=1, shards=1, window=2,
        normalization="z", time=",2000-01-01T12",
    )  # fmt: skip
    with pytest.raises(InputError, match="works on single fields, but the records have a window"):
        train_generator(
            windows, tmp_path / "run", network=NETWORK, objective=objective, epochs=(1,),
            learning_rates=(1e-3,), batch_size=2,
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_the_spectrum_cannot_select_a_denoiser(records, tmp_path):
    with pytest.raises(InputError, match="select spectrum needs an objective that generates"):
        train_generator(records, tmp_path / "run", network=NETWORK, objective="edm",
                        validation=records, select="spectrum", batch_size=16)  # fmt: skip
