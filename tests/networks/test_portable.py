"""Networks saved under TensorFlow compute the same under Keras's JAX backend."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

from phire.fields import Normalization
from phire.networks import build
from phire.networks import encoder as encoders
from phire.networks.blocks.conservation import conserving

READER = textwrap.dedent(
    """
    import sys

    import jax
    import keras
    import numpy as np

    from phire.networks.custom_layers import custom_layers

    assert keras.backend.backend() == "jax"
    assert "tensorflow" not in sys.modules
    folder = sys.argv[1]
    given = np.load(f"{folder}/inputs.npz")
    outputs = {}
    for name in sorted({key.split(".")[0] for key in given}):
        network = keras.saving.load_model(f"{folder}/{name}.keras", custom_layers(), compile=False)
        inputs = {k.split(".")[1]: given[k] for k in given if k.startswith(name + ".")}
        outputs[name] = np.asarray(network(inputs.get("fields", inputs), training=False))
    np.savez(f"{folder}/outputs.npz", **outputs)
    """
)


def with_random_statistics(network, random):
    """Weights away from their initial values: means of 0 and variances of 1 would hide much."""
    for variable in network.weights:
        value = np.asarray(variable)
        noise = random.normal(scale=0.05, size=value.shape)
        variable.assign(value + (np.abs(noise) if "variance" in variable.path else noise))
    return network


@pytest.fixture(scope="module")
def under_both(tmp_path_factory):
    """Outputs under TensorFlow and under JAX, by the network's name."""
    assert keras.backend.backend() == "tensorflow"
    random = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("portable")
    normalization = Normalization(
        "log1p", ("a", "b"), mean=(0.1, -0.2), std=(1.5, 0.5), log_mean=(0.0, 0.1),
        log_std=(0.8, 0.6),
    )  # fmt: skip
    free = (None, None, 2)
    networks = {
        "encoder": encoders.build(
            "resnet-small", (32, 32, 2), options={"blocks": (2, 1, 1, 1)}
        ),
        "generator": build("srgan", free, free, scale=4, filters=8, blocks=2),
        "resizing": conserving(
            build("srgan", free, free, scale=4, filters=8, blocks=1, upsampling="resize",
                  periodic=True),
            4, normalization, normalization,
        ),
        "dropping": build("srgan", free, free, scale=2, filters=8, blocks=1, static=1, time=2,
                          margin=1, dropout=0.2, dropout_kind="mcgaussiandrop"),
    }  # fmt: skip
    sizes = {
        "encoder": {"fields": (3, 32, 32, 2)},
        "generator": {"low": (2, 12, 10, 2)},
        "resizing": {"low": (2, 6, 12, 2)},
        "dropping": {"low": (2, 8, 9, 2), "static": (2, 12, 14, 1), "time": (2, 2)},
    }
    inputs, outputs = {}, {}
    for name, network in networks.items():
        arrays = {key: random.normal(size=size).astype("f4") for key, size in sizes[name].items()}
        if name == "dropping":
            arrays |= {key: random.integers(0, 999, (2, 2), "i4") for key in ("seed", "position")}
        with_random_statistics(network, random).save(folder / f"{name}.keras")
        outputs[name] = np.asarray(network(arrays.get("fields", arrays), training=False))
        inputs |= {f"{name}.{key}": value for key, value in arrays.items()}
    np.savez(folder / "inputs.npz", **inputs)
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    ended = subprocess.run(
        [sys.executable, "-c", READER, str(folder)],
        env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return outputs, dict(np.load(folder / "outputs.npz"))


@pytest.mark.parametrize("name", ["encoder", "generator", "resizing", "dropping"])
def test_outputs_under_jax_are_those_under_tensorflow(under_both, name):
    here, there = (outputs[name] for outputs in under_both)
    assert there.shape == here.shape
    assert np.std(here) > 1e-2  # and there is something to compare
    np.testing.assert_allclose(there, here, atol=1e-5 * max(1.0, np.abs(here).max()), rtol=0)


def test_an_exported_network_gives_what_the_network_gives(tmp_path):
    import tensorflow as tf

    random = np.random.default_rng(0)
    network = build("resnet", (None, None, 2), (None, None, 1), scale=2, filters=4, blocks=1)
    with_random_statistics(network, random).export(str(tmp_path / "exported"), verbose=False)
    low = {"low": random.normal(size=(2, 6, 7, 2)).astype("f4")}
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    found = loaded.serve(low)
    np.testing.assert_allclose(found, network(low, training=False), atol=1e-5)
