"""Sampling of whole fields: tiles, batches, seeds, exactness on a linear denoiser."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from complete_samples import schema
from phire.downscaling import samplers
from phire.downscaling.blended_tiles import tiles_along
from phire.downscaling.denoising import DenoisedFields
from phire.downscaling.sampler_choice import choose_sampler
from phire.errors import InputError
from phire.networks import Shapes
from phire.networks import network as networks
from phire.networks.blocks.fine_output import Fine
from phire.records.schema import SampleSchema

OBJECTIVE = {"name": "edm", "target": "residual", "sigma_data": [0.5], "sigma_min": 0.05,
             "sigma_max": 10.0}  # fmt: skip


def without_margin(margin=0):
    one = schema()
    arrays = {name: one.arrays[name] for name in ("low", "high")}
    size = 4 + 2 * margin
    arrays["low"] = dataclasses.replace(arrays["low"], shape=(size, size, 2))
    return SampleSchema("downscaling", arrays, scale=2, margin=margin, domain=one.domain)


def network(normalization="none", margin=0, context=False):
    keras.utils.set_random_seed(4)
    made = networks.build(
        f"unet,widths=[4],blocks=1,groups=2,zero_init=false,denoiser,normalization={normalization}",
        Shapes((None, None, 2), (None, None, 1), 2, margin=margin, context_size=(3, 4)),
        options={"context": context},
    )
    for weight in made.trainable_weights:
        weight.assign(0.3 * keras.random.normal(weight.shape, seed=len(weight.path)))
    return made


def inputs(margin=0, count=2):
    low = np.random.default_rng(1).normal(size=(count, 10, 16, 2)).astype("f4")
    if margin:
        low = np.pad(low, ((0, 0), (margin, margin), (0, 0), (0, 0)), mode="edge")
        low = np.pad(low, ((0, 0), (0, 0), (margin, margin), (0, 0)), mode="wrap")
    context = np.random.default_rng(2).normal(size=(count, 3, 4, 2)).astype("f4")
    return {"low": low, "context": context}


def sampled(made, tile=8, sampler="dpmpp-2m,steps=4", margin=0, overlap=None, **options):
    fields = DenoisedFields(
        made, without_margin(margin), OBJECTIVE, sampler, tile=tile, overlap=overlap
    )
    given = {"seed": 3, "times": [0, 21600], "members": [0, 1, 2], "closed": True, **options}
    return fields.sample(inputs(margin), **given)


@pytest.fixture(scope="module")
def convolutional():
    return network()


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize(
    ("count", "tile", "overlap"), [(10, 4, 2), (10, 30, 3), (7, 3, 0), (5, 5, 2)]
)
def test_weights_of_tiles_add_up_to_one(closed, count, tile, overlap):
    tiling = tiles_along(count, tile, overlap, overlap // 4, 3, closed)
    assert tiling.size <= tile
    total = np.zeros(count * 3)
    for start, weights in zip(tiling.starts, tiling.weights):
        np.add.at(total, np.arange(start * 3, (start + tiling.size) * 3) % (count * 3), weights)
    np.testing.assert_allclose(total, 1)
    assert tiling.weights.min() >= 0


@pytest.mark.parametrize("sampler", ["dpmpp-2m,steps=3", "ancestral,steps=2"])
def test_batches_members_and_times_change_nothing(convolutional, sampler):
    whole = sampled(convolutional, sampler=sampler)
    assert whole.shape == (3, 2, 20, 32, 1)
    np.testing.assert_array_equal(sampled(convolutional, sampler=sampler, together=1), whole)
    alone = DenoisedFields(convolutional, without_margin(), OBJECTIVE, sampler, tile=8).sample(
        {"low": inputs()["low"][1:]}, seed=3, times=[21600], members=[2], closed=True
    )
    np.testing.assert_array_equal(alone[0, 0], whole[2, 1])
    assert np.abs(whole[0] - whole[1]).min() > 0
    assert np.abs(sampled(convolutional, sampler=sampler, seed=4) - whole).mean() > 0.01


@pytest.mark.parametrize(("margin", "context"), [(0, False), (2, False), (0, True)])
def test_tiles_that_overlap_by_the_halo_change_nothing(margin, context):
    made = network(margin=margin, context=context)
    halo = made.get_layer("fine").halo
    assert halo is not None
    results = [
        sampled(made, tile=tile, margin=margin, overlap=2 * halo + 2, members=[0], times=[0, 1])
        for tile in (2 * halo + 4, 40)
    ]
    assert np.abs(results[0]).max() > 0.5
    np.testing.assert_allclose(*results, atol=2e-4)


def test_a_taper_keeps_tiles_of_group_normalisation_close():
    made = network("group")
    small, large = (sampled(made, tile=tile, members=[0], times=[0, 1]) for tile in (8, 12))
    assert np.sqrt(np.mean((small - large) ** 2)) < 0.15 * small.std()


def test_tiles_are_no_larger_than_their_number_needs():
    even = tiles_along(64, 72, 8, 2, 4, True)
    assert (even.size, even.starts) == (72, (0,))  # the whole circle and the overlap where it ends
    even = tiles_along(128, 72, 8, 2, 4, True)
    assert (even.size, even.starts) == (72, (0, 64))
    even = tiles_along(100, 72, 8, 2, 4, False)
    assert (even.size, even.starts) == (54, (0, 46))
    fixed = tiles_along(100, 72, 8, 2, 4, False, fixed=True)
    assert (fixed.size, fixed.starts) == (72, (0, 28))


def denoiser_of(text, patch=(4, 4)):
    shapes = Shapes((None, None, 2), (None, None, 1), 2, margin=1, context_size=(3, 4))
    made = networks.build(f"unet,widths=[4,4],blocks=1,denoiser{text}", shapes)
    described = without_margin(1)
    low = dataclasses.replace(
        described.arrays["low"], shape=(*(n + 2 for n in patch), 2)
    )  # fmt: skip
    arrays = {**described.arrays, "low": low}
    return DenoisedFields(made, dataclasses.replace(described, arrays=arrays), OBJECTIVE)


PATCH_SIZED = [",attention=[1]", ",middle_attention=true"]


@pytest.mark.parametrize("text", PATCH_SIZED)
def test_networks_that_depend_on_the_size_have_tiles_of_the_patch(text):
    fields = denoiser_of(text, (4, 6))
    # Two tiles of 3 × 5 points would cover them.
    assert fields.tiles(5, 8, False).shape == (4, 6)
    assert fields.tiles(5, 8, True).shape == (4, 6)


def test_group_normalization_has_tiles_of_two_patches():
    fields = denoiser_of("", (4, 6))
    assert fields.sides == (8, 12)
    assert fields.tiles(40, 60, True).shape <= (8, 12)


@pytest.mark.parametrize("text", [",normalization=rms", ",normalization=none"])
def test_other_networks_have_tiles_as_large_as_they_need(text):
    fields = denoiser_of(text)
    assert fields.sides == (144, 144)
    assert fields.tiles(10, 21, False).shape == (10, 21)
    assert fields.tiles(10, 21, True).shape == (10, 21 + fields.overlap)


def test_a_tiles_rim_has_no_weight_where_the_network_lacks_its_surroundings():
    fields = denoiser_of("")
    assert (fields.overlap, fields.rim) == (2, 0)
    tiling = tiles_along(40, 24, 8, 2, 4, True)
    assert (tiling.weights[:, :8] == 0).all() and (tiling.weights[:, -8:] == 0).all()
    assert (tiling.weights[:, 8] > 0).all()


def test_longitude_has_no_seam(convolutional):
    turned = inputs()["low"]
    fields = DenoisedFields(convolutional, without_margin(), OBJECTIVE, "euler,steps=3", tile=16)
    jumps = []
    for closed in (True, False):
        fine = fields.sample(
            {"low": turned * 0}, seed=0, times=[0, 1], members=range(8), closed=closed
        )
        rough = np.abs(fine[..., 1:, 0] - fine[..., :-1, 0]).mean()
        jumps.append(np.abs(fine[..., 0, 0] - fine[..., -1, 0]).mean() / rough)
    assert abs(jumps[0] - 1) < 0.15


@keras.saving.register_keras_serializable(package="tests")
class Zeros(keras.layers.Layer):
    def call(self, inputs):
        return keras.ops.zeros_like(inputs)


def untrained():
    """A denoiser whose network gives zeros."""
    low, noisy = (
        keras.Input((None, None, 2), name="low"),
        keras.Input((None, None, 1), name="noisy"),
    )
    level = keras.Input((), name="noise_level")
    return keras.Model({"low": low, "noisy": noisy, "noise_level": level}, Fine(0)(Zeros()(noisy)))


@pytest.mark.parametrize("sampler", ["dpmpp-2m,steps=3", "ancestral,steps=3"])
def test_a_memory_of_the_noise_makes_a_series_coherent(sampler):
    hour = 3600
    fields = DenoisedFields(untrained(), without_margin(), OBJECTIVE, sampler)
    times = [0, 3 * hour, 6 * hour, 48 * hour]
    fine = fields.sample(
        {"low": np.zeros((4, 10, 16, 2), "f4")}, seed=0, times=times, members=range(8),
        noise_memory=6 * hour,
    )  # fmt: skip
    found = np.corrcoef(fine[..., 0].swapaxes(0, 1).reshape(4, -1))[0]
    np.testing.assert_allclose(found, np.exp(-((np.array([0, 3, 6, 48]) / 6) ** 2)), atol=0.05)
    # No past is needed.
    alone = fields.sample(
        {"low": np.zeros((1, 10, 16, 2), "f4")}, seed=0, times=[6 * hour], members=[5],
        noise_memory=6 * hour,
    )  # fmt: skip
    np.testing.assert_array_equal(alone[0, 0], fine[5, 2])


def test_an_untrained_network_scales_the_noise_by_the_known_factor():
    """D = c_skip·x integrates like the exact Gaussian of unit data, mode for mode."""
    made = untrained()
    base = np.zeros((2, 20, 32, 1), "f4")
    found = sampled(made, sampler="dpmpp-2m,steps=20", members=range(20), base=base)
    sigmas = samplers.schedule("exponential", 20, sigma_min=0.05, sigma_max=10.0)
    factor = samplers.integrate(lambda x, s: x / (s**2 + 1), np.float64(10.0), sigmas)
    assert found.std() == pytest.approx(0.5 * factor, rel=0.01)
    assert factor == pytest.approx(1, rel=0.05)


@keras.saving.register_keras_serializable(package="tests")
class ConditionAlone(keras.layers.Layer):
    def call(self, noisy, low):
        return keras.ops.zeros_like(noisy) + keras.ops.mean(low, (1, 2, 3), keepdims=True)


def test_guidance_moves_away_from_the_field_without_conditions():
    """F(c) = mean of low and F(∅) = 0: a weight w multiplies F by 1 + w."""
    low, noisy = (
        keras.Input((None, None, 2), name="low"),
        keras.Input((None, None, 1), name="noisy"),
    )
    level = keras.Input((), name="noise_level")
    made = keras.Model(
        {"low": low, "noisy": noisy, "noise_level": level}, Fine(0)(ConditionAlone()(noisy, low))
    )
    objective = OBJECTIVE | {"condition_dropout": 0.1, "target": "field"}
    constant = {"low": np.ones((1, 10, 16, 2), "f4")}
    found = []
    for guidance in (0, 1.5):
        sampler = f"euler,steps=1,guidance={guidance}"
        fields = DenoisedFields(made, without_margin(), objective, sampler, tile=8)
        found.append(fields.sample(constant, seed=0, times=[0], members=[0]))
    # One step of Euler from σ = 10 gives D = c_skip·x + c_out·F, in units of sigma_data 0.5.
    c_out = 10 / np.sqrt(101)
    np.testing.assert_allclose(found[1] - found[0], 0.5 * c_out * 1.5, rtol=1e-4)


ERRORS = {
    "guidance": ("euler,guidance=1", {}, "needs a run trained with condition_dropout"),
    "negative": ("euler,guidance=-1", {}, "guidance=-1 must be a number, 0 or more"),
    "objective": ("heun", {"name": "energy"}, "was trained by energy: leave it out"),
    "levels": ("ddim", {}, "sampler ddim applies to the objective ddpm"),
    "range": ("euler,sigma_min=20", {}, "sigma_min 20 must be above 0 and below sigma_max 10"),
    "option": ("euler,speed=2", {}, "--sampler euler has no option 'speed': choose from steps"),
    "steps": ("euler,steps=0", {}, "steps=0: steps must be a whole number"),
    "true": ("euler,steps", {}, "steps=True: steps must be a whole number"),
    "text": ("heun,churn=abc", {}, "sampler heun: churn=abc must be a number"),
    "nan": ("heun,churn=.nan", {}, "sampler heun: churn=nan must be a number"),
    "no guidance": ("euler,guidance=.nan", {}, "guidance=nan must be a number, 0 or more"),
    "churn": ("heun,churn=-1", {}, "sampler heun: churn=-1 must not be negative"),
    "level": ("heun,sigma_min=abc", {}, "schedule exponential: sigma_min=abc must be a number"),
    "rho": ("heun,schedule=karras,rho=0", {}, "schedule karras: rho=0 must be positive"),
    "power": ("heun,power=0", {}, "power=0 gives no levels that descend to 0"),
    "rounded": ("heun,schedule=vp,sigma_min=1e-9", {}, "gives no levels that descend to 0"),
    "name": ("rk4", {}, "sampler 'rk4' is unknown"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_mistakes_are_told(name):
    specification, other, message = ERRORS[name]
    with pytest.raises(InputError, match=message):
        choose_sampler(specification, OBJECTIVE | other)


def test_a_choice_is_resolved():
    choice = choose_sampler("heun,steps=10,churn=5,schedule=karras,rho=5", OBJECTIVE)
    assert (choice.name, choice.steps, choice.options["churn"]) == ("heun", 10, 5)
    assert choice.schedule_options == {"sigma_min": 0.05, "sigma_max": 10.0, "rho": 5}
    assert choose_sampler("", OBJECTIVE).name == "dpmpp-2m"
    assert choose_sampler("ab2-angle,schedule=angle", OBJECTIVE).options["sigma_data"] == 1


def test_whoever_observes_sees_every_call_and_changes_nothing(convolutional):
    seen = []
    one = {"members": [1], "times": [0, 21600]}
    fine = sampled(convolutional, observe=lambda *found: seen.append(found), **one)
    np.testing.assert_array_equal(fine, sampled(convolutional, **one))
    levels, states, estimates = zip(*seen)
    assert (
        len(seen) == 4 and levels[0] == pytest.approx(10) and list(levels) == sorted(levels)[::-1]
    )
    # Noise of σ_max times σ_data about the residual's base at first; D itself in the last step.
    assert states[0].shape == (2, 20, 32, 1)
    assert np.std(states[0]) == pytest.approx(5, rel=0.1)
    np.testing.assert_allclose(estimates[-1], fine[0], atol=1e-5)
