"""DDPM: its loss by hand, its scalings against stated steps, exactness of an ideal denoiser."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from complete_samples import batch, schema
from downscaling.noisy_fields import noised, velocity
from phire.downscaling import train_generator
from phire.downscaling.discrete_process import DiscreteProcess
from phire.downscaling.downscaler import Downscaler
from phire.downscaling.generator_task import Task
from phire.downscaling.generator_training import objectives
from phire.downscaling.sampler_choice import choose_sampler
from phire.downscaling.samplers.ddpm_and_ddim import clean_and_noise
from phire.downscaling.samplers.discrete_levels import noise_to_signal
from phire.downscaling.trained_generator import TrainedGenerator
from phire.errors import InputError
from phire.fields import open_store
from phire.fields.coarsening import CoarsenedSource
from phire.fields.source import to_dataset
from phire.networks import network as networks
from phire.training import open_run

NETWORK = "unet,widths=[4,8],blocks=1,groups=2"
SCALES = "sigma_data=[0.5],sigma_min=0.02,sigma_max=20"


def built(specification):
    keras.utils.set_random_seed(2)
    made = objectives.build(specification, Task(schema(), *networks.resolve(NETWORK)))
    made.step_seed = tf.constant([5, 6])
    return made


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_the_loss_of_a_network_that_gives_nothing_is_the_mean_square_of_its_target(prediction):
    made = built(f"ddpm,{SCALES},prediction={prediction},times=8,beta_end=0.5")
    arrays = batch()
    clean = np.asarray(made.target.scaled(arrays["high"], arrays))
    valid = arrays["valid"].numpy() > 0
    clean = np.where(valid, clean, 0)
    noise = tf.random.stateless_normal(clean.shape, [5, 6 ^ (1 << 20)]).numpy()
    within = tf.random.stateless_uniform([4], [5, 6 ^ (2 << 20)]).numpy()
    times = np.floor((np.arange(4) + within) / 4 * 8).astype(int)
    signal = np.cumprod(1 - np.linspace(1e-4, 0.5, 8))[times][:, None, None, None]
    wanted = {"epsilon": noise, "x0": clean, "v": velocity(clean, noise, signal)}[prediction]
    expected = ((wanted**2) * valid).sum((1, 2, 3)) / valid.sum((1, 2, 3))
    found = made.validation_step(arrays)
    assert float(found["loss"]) == pytest.approx(expected.mean(), rel=1e-5)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_min_snr_weighs_the_error_of_the_clean_field_alike(prediction):
    process = DiscreteProcess(prediction)
    times = np.array([0, 300, 700], np.float32)
    signal = process.signal[[0, 300, 700]]
    ratio = signal / (1 - signal)
    # An error of 1 of the prediction is one of |c_out| of the clean field at this state.
    factor = np.array([abs(process.scalings(value).out) for value in signal])
    np.testing.assert_allclose(
        process.weight(times, 5.0, keras.ops), np.minimum(ratio, 5) * factor**2, rtol=1e-3
    )


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
@pytest.mark.parametrize("time", [0, 400, 999])
def test_scalings_give_the_clean_field_of_a_right_prediction(prediction, time):
    process = DiscreteProcess(prediction, "cosine" if time < 999 else "linear")
    signal = float(process.signal[time])
    clean, noise = np.array([0.3, -1.2, 2.0]), np.array([0.5, 0.1, -0.7])
    state = noised(clean, noise, signal)
    answer = {"epsilon": noise, "x0": clean, "v": velocity(clean, noise, signal)}[prediction]
    for factors, x in (
        (process.signal_scalings(signal), state),
        (process.sigma_scalings(float(noise_to_signal(signal))), state / signal**0.5),
    ):
        np.testing.assert_allclose(factors.skip * x + factors.out * answer, clean, atol=1e-6)
        np.testing.assert_allclose(factors.into * x, state, rtol=1e-6)
        assert factors.noise == pytest.approx(time, abs=1e-6)
        np.testing.assert_allclose(
            clean_and_noise(prediction, state, answer, signal)[0], clean, atol=1e-6
        )


def test_the_mixture_is_the_state_and_what_is_predicted():
    process = DiscreteProcess("v", "cosine", zero_terminal_snr=True)
    told = process.mixture(np.array([0.0, 999.0], np.float32), keras.ops)
    np.testing.assert_allclose(told.noise, [np.sqrt(1 - process.signal[0]), 1], rtol=1e-4)
    np.testing.assert_allclose(told.signal, [np.sqrt(process.signal[0]), 0], atol=1e-6)
    np.testing.assert_allclose(told.target_signal, [-np.sqrt(1 - process.signal[0]), -1], rtol=1e-4)


@pytest.fixture(scope="module")
def trained(records, tmp_path_factory):
    path = tmp_path_factory.mktemp("ddpm") / "run"
    train_generator(
        records, path, network="unet,widths=[4],blocks=1,groups=2", epochs=(1,),
        learning_rates=(1e-3,), batch_size=16,
        objective="ddpm,prediction=v,rates=cosine,zero_terminal_snr",
    )  # fmt: skip
    return path


@pytest.mark.parametrize(
    "sampler", ["ddim,steps=3", "ddpm,steps=3,spacing=linspace", "heun,steps=2"]
)
def test_a_run_is_sampled_by_signal_and_by_noise_levels(trained, store, sampler):
    source = CoarsenedSource(open_store(store), 4)
    model = Downscaler(TrainedGenerator(trained, sampler=sampler))
    fine = model(to_dataset(source, [0]), members=2)
    fields = np.stack([fine[name].values for name in fine.data_vars])
    assert np.isfinite(fields).all() and np.abs(fields[:, 0] - fields[:, 1]).max() > 0


RATES = ["linear", "scaled-linear", "cosine", "sigmoid"]
COMBINATIONS = [
    *[f"prediction={p},rates={r}" for p in ("epsilon", "v", "x0") for r in RATES],
    *[f"prediction={p},rates={r},zero_terminal_snr" for p in ("v", "x0") for r in RATES],
]


@pytest.mark.slow
@pytest.mark.parametrize("options", COMBINATIONS)
def test_every_combination_is_trained_and_sampled(options, records, store, tmp_path):
    tf.config.run_functions_eagerly(True)  # compiling takes longer than two steps
    try:
        train_generator(
            records, tmp_path / "run", network="unet,widths=[4],blocks=1,groups=2", epochs=(1,),
            learning_rates=(1e-3,), batch_size=48, objective=f"ddpm,{options}",
        )  # fmt: skip
        source = CoarsenedSource(open_store(store), 4)
        for sampler in ("ddim,steps=3", "ddpm,steps=3", "dpmpp-2m,steps=3"):
            model = Downscaler(TrainedGenerator(tmp_path / "run", sampler=sampler))
            fine = model(to_dataset(source, [0]), members=2)
            fields = np.stack([fine[name].values for name in fine.data_vars])
            assert np.isfinite(fields).all(), sampler
            assert np.abs(fields[:, 0] - fields[:, 1]).max() > 0, sampler
    finally:
        tf.config.run_functions_eagerly(False)


def test_the_configuration_says_that_the_network_denoises(trained):
    config = open_run(trained).config
    assert config["network"]["denoiser"] is True
    assert config["objective"]["sigma_max"] < 2000  # cosine: the last finite level


OBJECTIVE = {
    "name": "ddpm", "prediction": "v", "rates": "linear", "times": 10, "beta_start": 1e-4,
    "beta_end": 0.02, "zero_terminal_snr": False, "sigma_min": 0.01, "sigma_max": 1.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: built(f"ddpm,{SCALES},prediction=score"), "prediction=score must be one of"),
        (lambda: built(f"ddpm,{SCALES},rates=even"), "noise rates 'even' must be one of"),
        (lambda: built(f"ddpm,{SCALES},zero_terminal_snr"), "choose prediction=v or x0"),
        (lambda: built(f"ddpm,{SCALES},times=1"), "times=1 must be 2 or more"),
        (lambda: built(f"ddpm,{SCALES},min_snr=0"), "min_snr=0 must be positive"),
        (lambda: choose_sampler("ddim,steps=11", OBJECTIVE), "steps=11 exceeds the run's 10 times"),
        (lambda: choose_sampler("ddim,steps=2,spacing=even", OBJECTIVE), "must be one of leading"),
        (lambda: choose_sampler("ddpm,steps=2,rho=7", OBJECTIVE), "has no option 'rho': choose"),
    ],
)
def test_impossible_options_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_levels_are_those_of_the_spacing():
    choice = choose_sampler("ddim,steps=5", OBJECTIVE)
    np.testing.assert_allclose(
        choice.levels, [*DiscreteProcess("v", times=10).signal[[9, 7, 5, 3, 1]], 1]
    )
    assert choice.options == {"eta": 0.0, "clip": None}
