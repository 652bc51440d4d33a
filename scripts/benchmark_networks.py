"""Throughput of saved networks, forward, under whatever KERAS_BACKEND is set.

Encoder (resnet-small, 160×160) and generator (SRGAN, 24×24 → 96×96) are compiled once and timed on
a batch held in memory; the least time of the repeats counts.

    python scripts/benchmark_networks.py                          # TensorFlow
    KERAS_BACKEND=jax python scripts/benchmark_networks.py
    python scripts/benchmark_networks.py --precision bfloat16 --encoder RUN/networks/encoder.keras
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from phire.networks.encoders import build_encoder
from phire.networks.generators import build_generator
from phire.networks.layers import CUSTOM_LAYERS

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def compiled(network: keras.Model) -> Callable[[Any], Any]:
    """The forward pass as one program of the backend."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(lambda x: network(x, training=False))
    import tensorflow as tf

    return tf.function(lambda x: network(x, training=False))


def on_device(fields: np.ndarray) -> Any:
    """The batch where the network computes."""
    return keras.ops.convert_to_tensor(fields)


def device_name() -> str:
    """Where the backend computes."""
    if keras.backend.backend() == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    if not found:
        return "cpu"
    return tf.config.experimental.get_device_details(found[0]).get("device_name", "gpu")


def measure(name: str, network: keras.Model, shape: tuple[int, ...], steps: int, repeats: int):
    """Prints the samples a second of a network on batches of ``shape``."""
    forward = compiled(network)
    fields = on_device(np.random.default_rng(0).normal(size=shape).astype("f4"))
    np.asarray(keras.ops.convert_to_numpy(forward(fields)))  # compiles
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        for _ in range(steps):
            outputs = forward(fields)
        # The whole output comes back: only then is the work surely done.
        keras.ops.convert_to_numpy(outputs)
        times.append((time.perf_counter() - begun) / steps)
    best = min(times)
    print(
        f"{name:10s} {shape!s:20s} {1e3 * best:9.2f} ms a batch {shape[0] / best:10.1f} samples/s"
        f"   (median {1e3 * float(np.median(times)):.2f} ms)"
    )


def main() -> None:
    """Reads the options and measures both networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", help="a saved encoder; by default a fresh resnet-small")
    parser.add_argument("--generator", help="a saved generator; by default a fresh SRGAN")
    parser.add_argument("--precision", choices=list(POLICIES), default="float32")
    parser.add_argument("--batch-sizes", type=int, nargs=2, default=(32, 16), metavar="N",
                        help="of the encoder and of the generator")  # fmt: skip
    parser.add_argument("--steps", type=int, default=3, help="batches of a repeat")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    keras.config.set_dtype_policy(POLICIES[options.precision])

    def network(path: str | None, fresh: Callable[[], keras.Model]) -> keras.Model:
        if path is None:
            return fresh()
        return keras.saving.load_model(path, CUSTOM_LAYERS, compile=False)

    encoder = network(options.encoder, lambda: build_encoder("resnet-small", (160, 160, 2)))
    generator = network(options.generator, lambda: build_generator("srgan", 2))
    size = [extent or 160 for extent in encoder.inputs[0].shape[1:3]]
    print(f"{keras.backend.backend()} on {device_name()}, {options.precision}")
    cases = {
        "encoder": (encoder, (options.batch_sizes[0], *size, encoder.inputs[0].shape[-1])),
        "generator": (generator, (options.batch_sizes[1], 24, 24, generator.inputs[0].shape[-1])),
    }
    for name, (model, shape) in cases.items():
        measure(name, model, shape, options.steps, options.repeats)


if __name__ == "__main__":
    main()
