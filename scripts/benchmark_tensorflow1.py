#!/usr/bin/env python
"""Times an adversarial step, computed as in the TensorFlow 1 implementations.

PhIRE and AtmoDist feed each batch to the graph from Python. They update the discriminator and the
generator in separate session runs, run both networks a third time for the logged losses, and up to
twice more if the balancing rule asks for second updates. This script does the same with the same
networks (SRGAN 24×24 → 96×96, batch 16, random weights) and TensorFlow's default kernels.
benchmark_training.py times phire's step on the same machine:

    python scripts/benchmark_tensorflow1.py
    python scripts/benchmark_training.py --case srgan
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
CHANNELS, BATCH, SIDE, SCALES = 2, 16, 24, (2, 2)


def convolution(x: tf.Tensor, name: str, filters: int, size: int = 3, stride: int = 1) -> tf.Tensor:
    """Applies a convolution with bias."""
    shape = (size, size, x.shape[-1], filters)
    kernel = v1.get_variable(f"{name}/kernel", shape, initializer=v1.glorot_uniform_initializer())
    bias = v1.get_variable(f"{name}/bias", filters, initializer=v1.zeros_initializer())
    return v1.nn.bias_add(v1.nn.conv2d(x, kernel, stride, "SAME"), bias)


def dense(x: tf.Tensor, name: str, units: int) -> tf.Tensor:
    """Applies a dense layer with bias."""
    normal = v1.truncated_normal_initializer(stddev=0.02)
    kernel = v1.get_variable(f"{name}/kernel", (x.shape[-1], units), initializer=normal)
    bias = v1.get_variable(f"{name}/bias", units, initializer=v1.zeros_initializer())
    return x @ kernel + bias


def generator(x: tf.Tensor) -> tf.Tensor:
    """Computes fine patches from coarse patches."""
    leaky = tf.nn.leaky_relu
    with v1.variable_scope("generator"):
        x = first = leaky(convolution(x, "first", 64, 9))
        for block in range(16):
            inner = leaky(convolution(x, f"block{block}a", 64))
            x += convolution(inner, f"block{block}b", 64)
        x = convolution(x, "middle", 64) + first
        for number, scale in enumerate(SCALES):
            wide = convolution(x, f"upsampling{number}", 64 * scale**2)
            x = leaky(tf.nn.depth_to_space(wide, scale))
        return convolution(x, "last", CHANNELS, 9)


def discriminator(x: tf.Tensor, reuse: bool) -> tf.Tensor:
    """Computes the logits of fine patches."""
    leaky = tf.nn.leaky_relu
    with v1.variable_scope("discriminator", reuse=reuse):
        for number, (filters, stride) in enumerate(itertools.product((32, 64, 128, 256), (1, 2))):
            x = leaky(convolution(x, f"layer{number}", filters, stride=stride))
        x = tf.reshape(x, (-1, int(np.prod(x.shape[1:]))))
        return dense(leaky(dense(x, "dense1", 1024)), "dense2", 1)


class Training:
    """Graph and session of the training."""

    def __init__(self) -> None:
        graph = v1.Graph()
        with graph.as_default():
            fine_side = SIDE * int(np.prod(SCALES))
            self.coarse = v1.placeholder(tf.float32, (None, SIDE, SIDE, CHANNELS))
            self.fine = v1.placeholder(tf.float32, (None, fine_side, fine_side, CHANNELS))
            generated = generator(self.coarse)
            real, fake = discriminator(self.fine, False), discriminator(generated, True)
            entropy = tf.nn.sigmoid_cross_entropy_with_logits
            content = tf.reduce_mean((self.fine - generated) ** 2)
            adversarial = tf.reduce_mean(entropy(tf.ones_like(fake), fake))
            labels = tf.concat([tf.ones_like(real), tf.zeros_like(fake)], 0)
            d_loss = tf.reduce_mean(entropy(labels, tf.concat([real, fake], 0)))
            g_loss = content + 1e-3 * adversarial
            rates = [tf.reduce_mean(tf.cast(logits > 0, tf.float32)) for logits in (real, fake)]
            adam = v1.train.AdamOptimizer(1e-4)
            variables = {
                name: v1.get_collection("trainable_variables", name)
                for name in ("generator", "discriminator")
            }
            self.update_g = adam.minimize(g_loss, var_list=variables["generator"])
            self.update_d = adam.minimize(d_loss, var_list=variables["discriminator"])
            self.losses = [d_loss, g_loss, *rates]
            self.session = v1.Session(graph=graph)
            self.session.run(v1.global_variables_initializer())
            self.parameters = {
                k: sum(int(np.prod(w.shape)) for w in v) for k, v in variables.items()
            }

    def step(self, batch: tuple[np.ndarray, np.ndarray], balanced: bool) -> tuple[int, int]:
        """Takes one step; returns the numbers of second updates of generator and discriminator."""
        feed = dict(zip((self.coarse, self.fine), batch))
        run = self.session.run
        run(self.update_d, feed)
        run(self.update_g, feed)
        loss, more_g, more_d = run(self.losses, feed)[0], 0, 0
        if balanced and loss < 0.46:
            run(self.update_g, feed)
            loss, more_g = run(self.losses, feed)[0], 1
        if balanced and loss > 0.6:
            run(self.update_d, feed)
            run(self.losses, feed)
            more_d = 1
        return more_g, more_d


def batches() -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns four batches of waves and noise, with block means as coarse patches."""
    random = np.random.default_rng(0)
    scale = int(np.prod(SCALES))
    wave = np.sin(np.linspace(0, 12, SIDE * scale))
    made = []
    for _ in range(4):
        fine = wave[None, :, None, None] * random.normal(size=(BATCH, 1, 1, CHANNELS))
        fine = fine + 0.3 * random.normal(size=(BATCH, SIDE * scale, SIDE * scale, CHANNELS))
        coarse = fine.reshape(BATCH, SIDE, scale, SIDE, scale, CHANNELS).mean((2, 4))
        made.append((coarse.astype("f4"), fine.astype("f4")))
    return made


def main() -> None:
    """Runs the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=15)
    options = parser.parse_args()
    held = itertools.cycle(batches())
    for balanced, name in (
        (False, "one update of each network"),
        (True, "with the balancing rule"),
    ):
        training = Training()
        training.step(next(held), False)  # warms up
        seconds, more = [], []
        for _ in range(options.steps):
            begun = time.perf_counter()
            more.append(training.step(next(held), balanced))
            seconds.append(time.perf_counter() - begun)
        counts = np.sum(more, axis=0)
        average = (statistics.mean if balanced else statistics.median)(seconds)
        print(
            f"{name}, {options.steps} steps: {average:.3f} s a step; second updates: {counts[0]} "
            f"of the generator, {counts[1]} of the discriminator"
        )
    print(f"parameters: {training.parameters}")


if __name__ == "__main__":
    main()
