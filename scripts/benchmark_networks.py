"""Measures the throughput of networks with the Keras backend that KERAS_BACKEND names.

Times forward passes of the encoder (resnet-small, 160×160) and of the generator (SRGAN, 24×24 →
96×96), then a training step of the temporal-distance network and an adversarial step of the SRGAN
(one update of each network), with the losses and optimizers of phire's objectives. Each is compiled
by the backend and runs on a batch in memory; the shortest time of the repeats counts. Further
precisions are compared with the first one.

    python scripts/benchmark_networks.py                          # TensorFlow
    KERAS_BACKEND=jax python scripts/benchmark_networks.py --precision float32 bfloat16
    python scripts/benchmark_networks.py --encoder RUN/networks/encoder.keras --cases encoder

phire trains with TensorFlow only. With JAX, this script runs the networks and needs no TensorFlow.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from phire.networks import Shapes, build, discriminator
from phire.networks import encoder as encoders
from phire.networks.custom_layers import custom_layers
from phire.networks.temporal_distance_head import temporal_distance_network

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
CASES = ("encoder", "generator", "temporal-distance", "srgan")
CLASSES = 23
ADVERSARIAL_WEIGHT = 1e-3

Call = Callable[[str, Any], Any]
"""Function that applies the network of the given name in training mode."""
Losses = Callable[[Call, list], dict[str, Any]]
"""Function that computes the loss of every network, by name, on a batch."""


def under_jax() -> bool:
    """Returns True if Keras uses the JAX backend."""
    return keras.backend.backend() == "jax"


def forward_pass(network: keras.Model) -> Callable[[Any], Any]:
    """Compiles the forward pass of a network."""
    if under_jax():
        import jax

        return jax.jit(lambda x: network(x, training=False))
    import tensorflow as tf

    return tf.function(lambda x: network(x, training=False))


def training_step(
    networks: Mapping[str, keras.Model],
    optimizers: Mapping[str, keras.optimizers.Optimizer],
    losses: Losses,
) -> Callable[[list], Any]:
    """Compiles a step that updates every network by its loss, with one shared forward pass.

    Returns:
        ``step(batch)``, whose result is available once the step is done.
    """
    for name, network in networks.items():
        optimizers[name].build(network.trainable_variables)
    if under_jax():
        return _jax_step(networks, optimizers, losses)
    import tensorflow as tf

    @tf.function
    def step(batch: list) -> Any:
        with tf.GradientTape(persistent=True) as tape:
            found = losses(lambda name, x: networks[name](x, training=True), batch)
            found = {name: loss + sum(networks[name].losses) for name, loss in found.items()}
        for name, loss in found.items():
            variables = networks[name].trainable_variables
            gradients = tape.gradient(loss, [variable.value for variable in variables])
            optimizers[name].apply(gradients, variables)
        return tf.stack(list(found.values()))

    return step


def _jax_step(
    networks: Mapping[str, keras.Model],
    optimizers: Mapping[str, keras.optimizers.Optimizer],
    losses: Losses,
) -> Callable[[list], Any]:
    import jax

    def update(state: dict[str, tuple], batch: list) -> tuple[dict[str, tuple], list]:
        def all_losses(trainable: dict[str, list]) -> tuple[dict[str, Any], dict[str, list]]:
            kept = {name: one[1] for name, one in state.items()}
            decay = dict.fromkeys(state, 0.0)

            def call(name: str, x: Any) -> Any:
                x, kept[name], more = networks[name].stateless_call(
                    trainable[name], kept[name], x, training=True, return_losses=True
                )
                decay[name] = sum(more)
                return x

            found = losses(call, batch)
            return {name: loss + decay[name] for name, loss in found.items()}, kept

        now = {name: one[0] for name, one in state.items()}
        found, pull_back, kept = jax.vjp(all_losses, now, has_aux=True)
        after = {}
        for name, (variables, _, moments) in state.items():
            chosen = {other: ops.cast(other == name, loss.dtype) for other, loss in found.items()}
            gradients = pull_back(chosen)[0][name]
            variables, moments = optimizers[name].stateless_apply(moments, gradients, variables)
            after[name] = (variables, kept[name], moments)
        return after, list(found.values())

    compiled = jax.jit(update, donate_argnums=0)
    state = {
        name: tuple(
            [variable.value for variable in variables]
            for variables in (
                network.trainable_variables,
                network.non_trainable_variables,
                optimizers[name].variables,
            )
        )
        for name, network in networks.items()
    }

    def step(batch: list) -> Any:
        nonlocal state
        state, found = compiled(state, batch)
        return ops.stack(found)

    return step


def temporal_distance(encoder: keras.Model, batch: int) -> Callable[[], Any]:
    """Returns AtmoDist's step on ``batch`` pairs: cross-entropy, SGD with momentum."""
    network = temporal_distance_network(encoder, CLASSES)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=5.0)
    shape = (batch, *encoder.input_shape[1:])
    labels = np.random.default_rng(0).integers(CLASSES, size=batch)

    def losses(call: Call, batch: list) -> dict[str, Any]:
        first, second, labels = batch
        logits = call("network", [first, second])
        entropy = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        return {"network": ops.mean(entropy)}

    step = training_step({"network": network}, {"network": optimizer}, losses)
    held = [noise(shape, 1), noise(shape, 2), ops.convert_to_tensor(labels.astype("i4"))]
    return lambda: step(held)


def srgan(generator: keras.Model, batch: int) -> Callable[[], Any]:
    """Returns the step of the SRGAN on ``batch`` patches: one update of each network."""
    channels = generator.output_shape[-1]
    shapes = Shapes((24, 24, channels), (96, 96, channels), 4)
    networks = {
        "discriminator": discriminator.build("srgan", shapes, False),
        "generator": generator,
    }
    optimizers = {name: keras.optimizers.Adam(1e-4) for name in networks}

    def entropy(logits: Any, truth: float) -> Any:
        return ops.mean(
            ops.binary_crossentropy(ops.full_like(logits, truth), logits, from_logits=True)
        )

    def losses(call: Call, batch: list) -> dict[str, Any]:
        low, high = batch
        generated = call("generator", {"low": low})
        real, false = (call("discriminator", {"fine": x}) for x in (high, generated))
        content = ops.mean(ops.square(generated - high))
        return {
            "discriminator": 0.5 * (entropy(real, 1.0) + entropy(false, 0.0)),
            "generator": content + ADVERSARIAL_WEIGHT * entropy(false, 1.0),
        }

    step = training_step(networks, optimizers, losses)
    held = [noise((batch, 24, 24, channels), 1), noise((batch, 96, 96, channels), 2)]
    return lambda: step(held)


def noise(shape: tuple[int, ...], seed: int) -> Any:
    """Returns standard normal numbers on the device of the network."""
    return ops.convert_to_tensor(np.random.default_rng(seed).normal(size=shape).astype("f4"))


def device_name() -> str:
    """Returns the name of the backend's device."""
    if under_jax():
        import jax

        return str(jax.devices()[0].device_kind)
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    if not found:
        return "cpu"
    return tf.config.experimental.get_device_details(found[0]).get("device_name", "gpu")


def least_seconds(work: Callable[[], Any], steps: int, repeats: int) -> float:
    """Returns the shortest time of one call in seconds, after one call that compiles."""
    ops.convert_to_numpy(work())
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        for _ in range(steps):
            outputs = work()
        # Backends compute asynchronously: copying the output waits for the work to finish.
        ops.convert_to_numpy(outputs)
        times.append((time.perf_counter() - begun) / steps)
    return min(times)


def prepared(case: str, options: argparse.Namespace) -> tuple[Callable[[], Any], int]:
    """Returns the function to time for a case, and the number of samples per call."""

    def network(path: str | None, fresh: Callable[[], keras.Model]) -> keras.Model:
        if path is None:
            return fresh()
        return keras.saving.load_model(path, custom_layers(), compile=False)

    pairs, patches = options.batch_sizes
    if case in ("encoder", "temporal-distance"):
        encoder = network(options.encoder, lambda: encoders.build("resnet-small", (160, 160, 2)))
        if case == "temporal-distance":
            return temporal_distance(encoder, pairs), pairs
        forward, held = forward_pass(encoder), noise((pairs, *encoder.input_shape[1:]), 0)
        return lambda: forward(held), pairs
    generator = network(options.generator, lambda: build("srgan", (24, 24, 2), (96, 96, 2)))
    if case == "srgan":
        return srgan(generator, patches), patches
    forward = forward_pass(generator)
    held = {"low": noise((patches, 24, 24, generator.output_shape[-1]), 0)}
    return lambda: forward(held), patches


def main() -> None:
    """Runs the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--encoder", help="a saved encoder of fixed patch size; by default a "
                        "fresh resnet-small")  # fmt: skip
    parser.add_argument("--generator", help="a saved generator (×4); by default a fresh SRGAN")
    parser.add_argument("--precision", nargs="+", choices=list(POLICIES), default=["float32"],
                        help="of fresh networks")  # fmt: skip
    parser.add_argument("--batch-sizes", type=int, nargs=2, default=(32, 16), metavar="N",
                        help="of the encoder and of the generator")  # fmt: skip
    parser.add_argument("--steps", type=int, default=3, help="batches of a repeat")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"Keras on {keras.backend.backend()}, {device_name()}")
    for case in options.cases:
        first = None
        for precision in options.precision:
            keras.config.set_dtype_policy(POLICIES[precision])
            work, samples = prepared(case, options)
            seconds = least_seconds(work, options.steps, options.repeats)
            first = first or seconds
            print(
                f"{case:18s} {precision:9s} batch {samples:4d} {1e3 * seconds:9.2f} ms "
                f"{samples / seconds:10.1f} samples/s   × {seconds / first:.2f} of the time",
                flush=True,
            )


if __name__ == "__main__":
    main()
