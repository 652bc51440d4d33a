"""Killed in the middle, every long command completes when it is given again.

And nothing that has its final name was ever partial: while a command works, its output is not
there; the moment it is there, it is whole.
"""

from __future__ import annotations

import os
import signal
import time

import h5py
import numpy as np
import pytest

from phire.fields import open_store
from phire.files import PARTIAL
from pipeline import run, start, write_hours

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store of 240 small fields with a time axis, and the records and runs made of it."""
    folder = tmp_path_factory.mktemp("interruption")
    random = np.random.default_rng(0)
    # Waves that travel eastward, so that there is something to learn.
    longitude = np.linspace(0, 2 * np.pi, 128, endpoint=False)
    latitude = np.linspace(0, np.pi, 64)
    data = np.empty((2, 240, 64, 128), "f4")
    for t in range(240):
        for c in range(2):
            data[c, t] = 1e-5 * (
                np.sin(latitude)[:, None] * np.sin((3 + c) * (longitude - 0.05 * t))
                + 0.1 * random.normal(size=(64, 128))
            )
    with h5py.File(folder / "store.h5", "w") as file:
        file["data"] = data
    return folder


def kill_in_the_middle(command, output, begun):
    """Starts ``command``, kills it once ``begun()`` holds, and checks that ``output`` is absent."""
    process = start(*command)
    deadline = time.monotonic() + 300
    while not begun():
        assert process.poll() is None, f"ended too early:\n{process.communicate()[0]}"
        assert time.monotonic() < deadline, "never began to write"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    printed, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, printed
    assert not output.exists(), "an output had its final name before it was whole"


def partial_exists(output):
    return lambda: any(output.parent.glob(f".{output.name}{PARTIAL}*"))


def completes(command, output):
    run(*command)
    assert output.exists()
    assert not list(output.parent.glob(f".{output.name}{PARTIAL}*"))
    assert "already" in run(*command)  # and a third time there is nothing to do


def test_simulate(folder):
    output = folder / "simulated.h5"
    command = ("phire", "simulate", output, "--days", 4, "--resolution", 64, "--spin-up", 2)
    kill_in_the_middle(command, output, partial_exists(output))
    completes(command, output)
    with h5py.File(output) as file:
        assert file["data"].shape == (2, 32, 64, 128)
    with open_store(output) as store:
        fields = store.read(np.arange(len(store.time)))
    assert fields.shape == (32, 64, 128, 2)
    assert np.isfinite(fields).all()
    assert (fields.std(axis=(1, 2, 3)) > 0).all()


def test_convert(folder):
    values = write_hours(folder / "source.nc")
    output = folder / "converted.h5"
    command = ("phire", "convert", folder / "source.nc", output, "--variables", "t")
    kill_in_the_middle(command, output, partial_exists(output))
    completes(command, output)
    with open_store(output) as store:
        np.testing.assert_array_equal(store.read(np.arange(400))[..., 0], values)


def all_can_be_read(directory, feature):
    """Tells whether as many records can be read as the manifest says."""
    from phire.records import open_records

    records = open_records(directory)
    read = sum(len(batch[feature]) for batch in records.dataset(64, drop_remainder=False))
    return read == records.manifest.count > 0


def test_pair_records(folder):
    output = folder / "pairs"
    command = ("rplearn-data", folder / "store.h5", output, "--patch", "32,32",
               "--patches-per-field", 20, "--classes", 4, "--shards", 2,
               "--compression", "zlib")  # fmt: skip
    kill_in_the_middle(command, output, partial_exists(output))
    completes(command, output)
    assert all_can_be_read(output, "label")


def test_downscaling_records(folder):
    output = folder / "patches"
    command = ("phire-data", folder / "store.h5", output, "--patch", "32,32", "--scale", 4,
               "--patches-per-field", 10, "--shards", 2, "--compression", "zlib")  # fmt: skip
    kill_in_the_middle(command, output, partial_exists(output))
    completes(command, output)
    assert all_can_be_read(output, "high")


def kill_while_training(command, out):
    """Kills a training run after its first checkpoint; the network must not be there yet."""
    network = out / "networks"
    kill_in_the_middle(command, network / "encoder.keras", lambda: any(out.glob("checkpoints/*")))
    assert not list(network.glob("*.keras"))
    run(*command)
    assert list(network.glob("*.keras"))
    assert "already" in run(*command)


def noticed_while_training(command, out):
    """Sends SIGTERM to a training that saved a checkpoint in the middle; returns what it said."""
    process = start(*command, "--out", out)
    deadline = time.monotonic() + 300
    while not any(out.glob("checkpoints/step-*")):
        assert process.poll() is None, f"ended too early:\n{process.communicate()[0]}"
        assert time.monotonic() < deadline, "never saved a checkpoint"
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM, printed
    return printed


TRAININGS = {
    "rplearn-train": (
        "pairs", test_pair_records, "temporal_distance",
        ("--network", "tiny,filters=[2,2,4,4]", "--objective", "temporal-distance,head_filters=4",
         "--classes", 4, "--epochs", 1, "--cool-down-epochs", 0, "--batch-size", 64),
    ),
    "phire-train": (
        "patches", test_downscaling_records, "generator",
        ("--network", "srgan-small,filters=4,blocks=1", "--objective", "srgan,pretrain_epochs=0",
         "--epochs", 1, "--learning-rates", "1e-3", "--batch-size", 32),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRAININGS)
def test_after_a_notice_the_same_training_command_ends_with_the_same_bits(folder, name):
    from phire.training import open_run

    records, make, network, options = TRAININGS[name]
    if not (folder / records).exists():
        make(folder)
    command = (name, folder / records, *options, "--deterministic", "--checkpoint-steps", 15)
    parts, whole = folder / f"{name} parts", folder / f"{name} whole"
    printed = noticed_while_training(command, parts)
    assert "the same command resumes it" in printed
    newest = max(path.name for path in parts.glob("checkpoints/step-*"))
    step = int(newest.removeprefix("step-"))
    assert f"saving step {step}:" in printed
    assert not open_run(parts).epochs  # it came in the middle of the only epoch
    assert f"going on from step {step}" in run(*command, "--out", parts)
    run(*command, "--out", whole)
    networks = [open_run(out).network(network).get_weights() for out in (parts, whole)]
    for a, b in zip(*networks):
        np.testing.assert_array_equal(a, b)
    assert open_run(parts).history["step"].iloc[-1] > step


def test_training_and_evaluation(folder):
    if not (folder / "pairs").exists():
        test_pair_records(folder)
    representation = folder / "representation"
    command = ("rplearn-train", folder / "pairs", "--validation", folder / "pairs",
               "--out", representation, "--network", "tiny", "--classes", 4, "--epochs", 2,
               "--warm-up-epochs", 0, "--cool-down-epochs", 0, "--batch-size", 64)  # fmt: skip
    kill_while_training(command, representation)
    metric = folder / "metric"
    command = ("rplearn-eval", representation, "--records", folder / "pairs", "--out", metric)
    run(*command)
    assert "already" in run(*command)


def test_generator_prediction_and_report(folder):
    if not (folder / "patches").exists():
        test_downscaling_records(folder)
    generator = folder / "generator"
    command = ("phire-train", folder / "patches", "--out", generator, "--network", "srgan-small",
               "--objective", "srgan,pretrain_epochs=1", "--epochs", "1",
               "--learning-rates", "1e-4", "--batch-size", 32)  # fmt: skip
    kill_while_training(command, generator)
    fine = folder / "fine.h5"
    command = ("phire", "predict", generator, folder / "store.h5", fine, "--coarsen", 4)
    kill_in_the_middle(command, fine, partial_exists(fine))
    completes(command, fine)
    results = folder / "results"
    command = ("phire-eval", folder / "store.h5", "--scale", 4, "--out", results,
               "--candidate", "bicubic=bicubic", "--candidate", f"file={fine}")  # fmt: skip
    kill_in_the_middle(command, results / "report.html", lambda: any(results.glob("truth/*.nc")))
    run(*command)
    assert (results / "report.html").exists()
    assert "already" in run(*command)
