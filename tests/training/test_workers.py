"""Several processes, or devices of one, train as one does, and end together when one is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.errors import InputError
from phire.training import open_run
from phire.training.devices import choose_strategy, is_chief
from training_worker import BATCH, OBJECTIVES, RATES, STEPS, batch

WORKER = Path(__file__).resolve().parents[1] / "training_worker.py"

pytestmark = pytest.mark.slow


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start(kind, run, *more):
    """Two workers on this machine's loopback."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    started = []
    for index in range(2):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {
            **os.environ,
            "TF_CONFIG": json.dumps(config),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "OMP_NUM_THREADS": "1",
        }
        started.append(
            subprocess.Popen(
                [sys.executable, str(WORKER), kind, str(run), *map(str, more)],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
        )  # fmt: skip
    return started


def ended(processes, timeout=240):
    """What each printed, and its status."""
    try:
        printed = [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return printed, [process.returncode for process in processes]


WORKERS_HALVES = (slice(0, None, 2), slice(1, None, 2))
DEVICES_HALVES = (slice(0, BATCH // 2), slice(BATCH // 2, None))


def split(kind, number, halves):
    whole = batch(kind, number)
    return [{name: tf.constant(v[half]) for name, v in whole.items()} for half in halves]


def temporal_alone(halves, network):
    """Ten steps on averaged gradients of both halves, each with its own batch statistics."""
    objective = OBJECTIVES["temporal"]()
    objective.network.set_weights(network.get_weights())
    optimizer = objective.optimizers["network"]
    variables = objective.network.trainable_variables
    losses = []
    for number in range(STEPS):
        gradients, found = [], []
        for half in split("temporal", number, halves):
            with tf.GradientTape() as tape:
                logits = objective.network([half["first"], half["second"]], training=True)
                entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(half["label"] - 1, logits)
                loss = tf.reduce_mean(entropy) + tf.add_n(objective.network.losses)
            gradients.append(tape.gradient(loss, [v.value for v in variables]))
            found.append(loss)
        optimizer.apply([(a + b) / 2 for a, b in zip(*gradients)], variables)
        losses.append(float(sum(found)) / 2)
    return {"loss": losses}, [objective.network]


def adversarial_alone(halves, generator, discriminator):
    """Ten steps on both halves; the networks know no batch statistics."""
    objective = OBJECTIVES["adversarial"]()
    objective.generator.set_weights(generator.get_weights())
    objective.discriminator.set_weights(discriminator.get_weights())
    for name, rate in RATES["adversarial"].items():
        objective.optimizers[name].learning_rate = rate
    variables = {n: network.trainable_variables for n, network in objective.networks.items()}

    def losses(half, generated):
        real = objective.discriminator(half["high"], training=True)
        false = objective.discriminator(generated, training=True)
        entropy = tf.nn.sigmoid_cross_entropy_with_logits
        judged = 0.5 * tf.reduce_mean(entropy(tf.ones_like(real), real)) + 0.5 * tf.reduce_mean(
            entropy(tf.zeros_like(false), false)
        )
        fooled = tf.reduce_mean(entropy(tf.ones_like(false), false))
        content = tf.reduce_mean(tf.square(generated - half["high"]))
        return {"discriminator": judged, "generator": content + 1e-3 * fooled}

    def gradients(number, names, generated=None):
        """``generated``: the fields of each half, where the generator is not run for them."""
        sums = {name: None for name in names}
        means = dict.fromkeys(("discriminator", "generator"), 0.0)
        fields = []
        for one, half in enumerate(split("adversarial", number, halves)):
            with tf.GradientTape(persistent=True) as tape:
                if generated is None:
                    fields.append(objective.generator(half["low"], training=True))
                else:
                    fields.append(generated[one])
                found = losses(half, fields[one])
            for name in means:
                means[name] += float(found[name]) / 2
            for name in names:
                part = tape.gradient(found[name], [v.value for v in variables[name]])
                before = sums[name]
                sums[name] = part if before is None else [a + b for a, b in zip(before, part)]
        return means, {name: [g / 2 for g in parts] for name, parts in sums.items()}, fields

    rows = {"loss": [], "discriminator": []}
    for number in range(STEPS):
        means, averaged, generated = gradients(number, ["discriminator", "generator"])
        for name in averaged:
            objective.optimizers[name].apply(averaged[name], variables[name])
        again = None
        if means["discriminator"] < 0.46:
            again = "generator"
            _, averaged, _ = gradients(number, [again])
        elif means["discriminator"] > 0.6:
            again = "discriminator"
            _, averaged, _ = gradients(number, [again], generated)
        if again:
            objective.optimizers[again].apply(averaged[again], variables[again])
        rows["loss"].append(means["generator"])
        rows["discriminator"].append(means["discriminator"])
    return rows, [objective.generator, objective.discriminator]


@pytest.mark.parametrize("kind", sorted(OBJECTIVES))
def test_two_workers_train_as_one_on_averaged_gradients(kind, tmp_path):
    printed, statuses = ended(start(kind, tmp_path / "run"))
    assert statuses == [0, 0], printed
    compare_with_one(kind, open_run(tmp_path / "run"), WORKERS_HALVES)


@pytest.mark.parametrize("kind", sorted(OBJECTIVES))
def test_two_devices_of_a_process_train_as_one_on_averaged_gradients(kind, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    started = subprocess.Popen(
        [sys.executable, str(WORKER), kind, str(tmp_path / "run")],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    printed, statuses = ended([started])
    assert statuses == [0], printed
    compare_with_one(kind, open_run(tmp_path / "run"), DEVICES_HALVES)


def compare_with_one(kind, run, halves):
    assert run.completed
    history = run.history
    assert len(history) == STEPS
    keras.utils.set_random_seed(0)
    fresh = OBJECTIVES[kind]()  # the seed of the run: its initial weights
    alone = temporal_alone if kind == "temporal" else adversarial_alone
    rows, networks = alone(halves, *(fresh.networks[name] for name in fresh.exported))
    for name, values in rows.items():
        np.testing.assert_allclose(history[name], values, atol=1e-5, rtol=1e-5)
    for name, network in zip(fresh.exported, networks):
        for a, b in zip(run.network(name).trainable_weights, network.trainable_weights):
            np.testing.assert_allclose(a, b, atol=2e-5, rtol=1e-4)
    if kind == "adversarial":  # and both second steps were taken
        judged = history["discriminator"]
        assert (judged > 0.6).any()
        assert (judged < 0.46).any()


def wait_for(condition, processes, seconds=200):
    deadline = time.monotonic() + seconds
    while not condition():
        assert all(process.poll() is None for process in processes), ended(processes)
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("lost", [0, 1])
def test_when_a_worker_is_killed_the_other_says_so_and_the_run_goes_on(lost, tmp_path):
    run = tmp_path / "run"
    processes = start("temporal", run, 0.05)
    wait_for(lambda: any(run.glob("checkpoints/step-*")), processes)
    processes[lost].send_signal(signal.SIGKILL)
    printed, statuses = ended([processes[1 - lost]])
    processes[lost].communicate()
    assert statuses == [1], printed
    assert "another worker was lost" in printed[0]
    assert "Graph execution error" not in printed[0]  # TensorFlow's heading, which tells nothing
    assert "the same command" in printed[0]
    last = len(open_run(run).history)
    processes = start("temporal", run, 0.05)
    wait_for(lambda: len(open_run(run).history) > last + 1, processes)
    processes[0].send_signal(signal.SIGTERM)  # the notice to one is a notice to all
    printed, statuses = ended(processes)
    assert statuses == [143, 143], printed
    assert "going on from step" in "".join(printed)


def test_who_is_the_chief(monkeypatch):
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    for task, expected in ((("chief", 0), True), (("worker", 0), False), (("worker", 1), False)):
        config = {"cluster": cluster, "task": {"type": task[0], "index": task[1]}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(config))
        assert is_chief("auto") is expected
        assert is_chief("cpu")
    monkeypatch.delenv("TF_CONFIG")
    assert is_chief("auto")


def test_devices_that_are_not_there_are_named(monkeypatch):
    with pytest.raises(InputError, match=r"^devices multiworker needs TF_CONFIG"):
        choose_strategy("multiworker")
    with pytest.raises(InputError, match=r"^devices tpu must be one of auto, cpu"):
        choose_strategy("tpu")
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(InputError, match="TF_CONFIG in the environment must be JSON"):
        choose_strategy("auto")
