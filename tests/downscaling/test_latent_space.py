"""Diffusion in the latent space of an autoencoder: encoding, tiles, training, members, mistakes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

from phire.downscaling import predict, train_generator
from phire.downscaling.latent_space import LatentSpace, check_autoencoder
from phire.downscaling.trained_generator import TrainedGenerator
from phire.errors import InputError
from phire.fields import open_store
from phire.records import open_records
from phire.training import open_run
from test_bad_input import refused

TINY = {"epochs": (1,), "learning_rates": (1e-3,), "batch_size": 48}
AUTOENCODER = (
    "vqvae,widths=[4,8],groups=2,encoder_attention=[],decoder_attention=[],latent_channels=3,"
    "codes=16,code_width=3"
)
DENOISER = "unet,widths=[4],blocks=1,groups=2"


@pytest.fixture(scope="module")
def autoencoder(records, tmp_path_factory):
    path = tmp_path_factory.mktemp("autoencoder") / "run"
    train_generator(records, path, network=AUTOENCODER, objective="vqvae", **TINY)
    return path


@pytest.fixture(scope="module")
def space(autoencoder, records):
    opened = open_records(records)
    return LatentSpace.open(autoencoder, opened.schema, opened)


@pytest.fixture(scope="module")
def latent_run(autoencoder, records, tmp_path_factory):
    path = tmp_path_factory.mktemp("latent") / "run"
    train_generator(
        records, path, network=DENOISER, objective=f"edm,latent={autoencoder}", **TINY
    )  # fmt: skip
    return path


def test_the_log_tells_the_use_of_the_codes(autoencoder):
    history = open_run(autoencoder).history
    assert 0 < history["usage"].iloc[-1] <= 1 <= history["perplexity"].iloc[-1] <= 16
    assert (history[["content", "commitment"]] >= 0).all(axis=None)


def test_latent_fields_have_unit_size_and_come_back(space, autoencoder, records):
    batch = next(iter(open_records(records).dataset(96)))
    latent = space.encode(batch)["high"].numpy()
    assert latent.shape == (96, 8, 8, 3)
    np.testing.assert_allclose(latent.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(latent.std((0, 1, 2)), 1, atol=1e-4)
    network = open_run(autoencoder).network("generator")
    whole = network({"high": batch["high"]}).numpy()
    np.testing.assert_allclose(space.decode(latent), whole, rtol=1e-4, atol=1e-5)


def test_the_schema_is_of_the_latent_grid(space, records):
    schema = open_records(records).schema
    assert (space.schema.scale, space.schema.patch) == (2, (8, 8))
    assert space.schema.channels == ("latent_0", "latent_1", "latent_2")
    assert space.schema.arrays["low"] == schema.arrays["low"]
    assert space.schema.domain.shape == (16, 32)


def test_maps_and_places_are_those_of_the_latent_grid(space):
    random = np.random.default_rng(0)
    static = random.normal(size=(16, 24, 2)).astype("f4")
    found = space.conditions({"static": static, "position": np.array([[4, 6]]), "time": [1.0]})
    assert found["static"].shape == (8, 12, 2) and found["time"] == [1.0]
    np.testing.assert_allclose(found["static"][1, 2], static[2:4, 4:6].mean((0, 1)), rtol=1e-5)
    np.testing.assert_array_equal(found["position"], [[2, 3]])
    batch = {"high": random.normal(size=(1, 16, 16, 2)).astype("f4"),
             "static": static[None, :, :16], "position": np.array([[4, 6]]),
             "valid": np.ones((1, 16, 16, 2), "f4")}  # fmt: skip
    encoded = space.encode(batch)
    assert "valid" not in encoded
    np.testing.assert_allclose(encoded["static"][0], found["static"][:, :8], rtol=1e-5)
    poisoned = {**batch, "high": np.where(np.arange(16)[:, None] == 3, np.nan, batch["high"]),
                "valid": np.where(np.arange(16)[:, None] == 3, 0, batch["valid"])}  # fmt: skip
    assert np.isfinite(space.encode(poisoned)["high"]).all()


@pytest.mark.parametrize("closed", [False, True])
def test_whole_fields_are_decoded_in_tiles(space, closed):
    latent = np.random.default_rng(1).normal(size=(1, 12, 20, 3)).astype("f4")
    fine = space.decode(latent, closed)
    assert fine.shape == (1, 24, 40, 2) and np.isfinite(fine).all()
    # Tiles begin at every fifth latent column of the circle: turned by five, they are the same.
    turned = np.roll(space.decode(np.roll(latent, 5, axis=2), closed), -10, axis=2)
    assert np.allclose(turned, fine, atol=1e-5) == closed
    pair = space.decode(np.concatenate([0 * latent, latent]), closed)
    np.testing.assert_array_equal(pair[1:], fine)


def test_tiles_of_the_decoder_have_the_patches_size(space):
    latent = np.random.default_rng(2).normal(size=(1, 12, 20, 3)).astype("f4")
    patch = space.decode(latent[:, :8, :8])
    # Rows 0 to 3 and columns 0 to 5 lie in the first tile alone.
    np.testing.assert_allclose(space.decode(latent)[:, :8, :12], patch[:, :8, :12], atol=1e-5)


def test_members_are_predicted_through_the_decoder(latent_run, autoencoder, store, tmp_path):
    options = {"coarsen": 4, "time": ",2000-01-01T03", "sampler": "euler,steps=2"}
    predict(latent_run, store, tmp_path / "two.nc", members=2, **options)
    predict(latent_run, store, tmp_path / "one.nc", members=1, **options)
    with open_store(store) as opened:
        channels, shape = opened.channels, opened.grid.shape
    with xr.open_dataset(tmp_path / "two.nc") as two, xr.open_dataset(tmp_path / "one.nc") as one:
        for name in channels:
            assert two[name].shape == (2, 1, *shape) and np.isfinite(two[name]).all()
            np.testing.assert_array_equal(two[name][0], one[name])
            assert float(abs(two[name][0] - two[name][1]).max()) > 0
    config = open_run(latent_run).config
    assert config["objective"]["target"] == "field"
    assert config["objective"]["latent"] == str(autoencoder)
    np.testing.assert_allclose(config["objective"]["sigma_data"], 1, atol=1e-3)
    assert len(config["latent"]["std"]) == 3
    assert (latent_run / "networks" / "autoencoder.keras").exists()


def test_the_frozen_autoencoder_learns_nothing(latent_run, autoencoder):
    networks = (
        open_run(autoencoder).network("generator"), open_run(latent_run).network("autoencoder")
    )  # fmt: skip
    for one, other in zip(*(network.get_weights() for network in networks)):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["vp", "ddpm,prediction=v", "flow"])
def test_every_diffusion_works_in_the_latent_space(
    objective, autoencoder, records, store, tmp_path
):
    run = tmp_path / "run"
    train_generator(
        records, run, network=DENOISER, objective=f"{objective},latent={autoencoder}", **TINY
    )
    predict(run, store, tmp_path / "a.nc", coarsen=4, time=",2000-01-01T03",
            sampler="euler,steps=2")  # fmt: skip
    with xr.open_dataset(tmp_path / "a.nc") as found:
        assert all(np.isfinite(found[name]).all() for name in found.data_vars)


def test_an_autoencoder_refines_nothing(autoencoder):
    with pytest.raises(InputError, match="is an autoencoder, which does not refine"):
        TrainedGenerator(autoencoder)


OTHERS = {
    "channels": ({"channels": ("rain", "wind")}, "encodes divergence, vorticity, but the records"),
    "patch": ({"shape": (32, 32, 2)}, "was trained on patches of 16 × 16 points, but the records "
              "hold 32 × 32"),
    "normalization": ({"normalization": None}, "trained with another normalization"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_an_autoencoder_of_other_targets_is_refused(name, autoencoder, records):
    changes, message = OTHERS[name]
    schema = open_records(records).schema
    high = dataclasses.replace(schema.arrays["high"], **changes)
    other = dataclasses.replace(schema, arrays={**schema.arrays, "high": high})
    with pytest.raises(InputError, match=message):
        check_autoencoder(autoencoder, open_run(autoencoder).config, other)


def test_a_latent_grid_coarser_than_the_coarse_field_is_refused(autoencoder, records):
    schema = dataclasses.replace(open_records(records).schema, scale=1)
    with pytest.raises(InputError, match="the autoencoder's factor of 2 must divide"):
        LatentSpace(open_run(autoencoder).network("generator"), schema)


def test_mistakes_by_command(autoencoder, latent_run, records, run, store, tmp_path):
    train = ("phire-train", records, "--out", tmp_path / "run", "--network", DENOISER, "--epochs",
             "1", "--learning-rates", "1e-3", "--batch-size", "16", "--objective")  # fmt: skip
    for objective, said in {
        f"edm,latent={run}": "was trained by srgan: name a run of the objective vqvae",
        f"edm,latent={autoencoder},residual={run}": "exclude each other",
        f"edm,latent={autoencoder},target=residual": "exclude each other",
        "vqvae": "needs an autoencoder, which unet is not",
    }.items():
        assert said in refused(*train, objective)
    predicted = ("phire predict", autoencoder, store, tmp_path / "a.nc", "--coarsen", "4")
    assert "is an autoencoder, which does not refine" in refused(*predicted)
    assert not list(tmp_path.iterdir())
