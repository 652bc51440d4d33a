"""Times training and sampling of denoisers, compared with PyTorch, and measures peak memory.

Training: the bare step on a batch in memory, the loop that reads records, and PyTorch's eager step
of the same network (scripts/pytorch_unet.py, in a separate process) alternate block by block, so
that other load on the machine affects all equally. Sampling: 16 members of 256 × 512 points at ×4,
whose time outside the network's graph is the cost of tiling; then the peak memory of ``phire
predict`` with 4, 16, 64 and 256 members. All sides use the same number of threads. On a busy
machine, CPU seconds are more reliable than wall time.

    python scripts/benchmark_generative.py --pytorch /path/of/an/environment/bin/python
    python scripts/benchmark_generative.py --only sampling
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

PRECISIONS = ("float32", "bfloat16")
CASES = {
    "unet-small": {"patch": (64, 64), "batch": 16, "channels": None},
    "unet2d": {"patch": (20, 32), "batch": 32, "channels": ["vorticity"]},
}
SCALE = 4


class PyTorch:
    """Process that takes training steps in PyTorch.

    Args:
        python: Interpreter of an environment with PyTorch.
        threads: Number of threads.
    """

    def __init__(self, python: str, threads: int) -> None:
        script = Path(__file__).with_name("pytorch_unet.py")
        self._process = subprocess.Popen(
            [python, script, "--threads", str(threads)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.version = self._process.stdout.readline().strip()

    def step(self, case: str, precision: str, steps: int) -> tuple[float, float]:
        """Takes steps; returns wall seconds and CPU seconds per step."""
        self._process.stdin.write(f"{case} {precision} {steps}\n")
        self._process.stdin.flush()
        wall, cpu, _ = self._process.stdout.readline().split()
        return float(wall), float(cpu)

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def timed(work: Callable[[], object], steps: int) -> tuple[float, float]:
    """Runs steps of work; returns wall seconds and CPU seconds per step."""
    begun, used = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - begun) / steps, (time.process_time() - used) / steps


def write_records(folder: Path, case: str, patches: int = 8) -> Path:
    """Writes records of waves and noise for a case, from 64 fields."""
    from benchmark_training import write_store
    from phire.records import write_downscaling_records

    store, path = folder / "fields.h5", folder / case
    if not store.exists():
        write_store(store, 128)
    described = CASES[case]
    write_downscaling_records(
        store, path, patch=described["patch"], scale=SCALE, patches_per_field=patches, shards=2,
        targets=described["channels"], normalization="z",
    )  # fmt: skip
    return path


def training(case: str, precision: str, options: argparse.Namespace, rival: PyTorch | None) -> None:
    """Prints the time of a training step on all sides."""
    import tensorflow as tf

    from phire.downscaling.generator_task import Task
    from phire.downscaling.generator_training import objectives
    from phire.networks import network as networks
    from phire.records import open_records
    from phire.training.determinism import prepare_process
    from phire.training.devices import choose_strategy
    from phire.training.step_graphs import Stepper

    size = CASES[case]["batch"]
    with tempfile.TemporaryDirectory() as folder:
        records = open_records(write_records(Path(folder), case))
        prepare_process(precision, 0, False)
        strategy = choose_strategy("cpu")
        with strategy.scope():
            task = Task(records.schema, *networks.resolve(f"{case},denoiser"))
            sigma = [1.0] * len(records.schema.channels)
            objective = objectives.build(
                "edm", task, options={"sigma_data": sigma, "sigma_min": 0.02, "sigma_max": 20.0}
            )
        objective.begin("phase 1")

        def batches(epoch: int) -> tf.data.Dataset:
            return records.dataset(size, seed=0, epoch=epoch)

        held = next(iter(batches(0)))
        step = tf.function(objective.whole_step, jit_compile=options.jit or None)
        stepper = Stepper(objective, strategy, options.jit)
        endless = tf.data.Dataset.range(1_000_000).flat_map(lambda _: batches(0))
        iterator = stepper.iterator(lambda shard: endless)
        steps, taken = options.steps, 0

        def bare() -> None:
            for _ in range(steps):
                loss = step(held)["loss"]
            float(loss)

        def loop() -> None:
            nonlocal taken
            stepper.train(iterator, taken, steps)
            taken += steps

        works = {"bare": bare, "loop": loop}
        for work in works.values():
            work()  # traces the graph
        found: dict[str, list[tuple[float, float]]] = {"bare": [], "loop": [], "PyTorch": []}
        for block in range(options.blocks):
            names = list(works)[:: 1 if block % 2 else -1]
            for name in names:
                found[name].append(timed(works[name], steps))
            if rival is not None:
                found["PyTorch"].append(rival.step(case, precision, steps))
    print(f"{case}, batch {size}, {precision}: {options.blocks} blocks of {steps} steps")
    print_rates(found)


def print_rates(found: dict[str, list[tuple[float, float]]]) -> None:
    """Prints median wall and CPU seconds per step of each side, and the ratios of their rates."""
    for name, values in found.items():
        if values:
            wall, cpu = (statistics.median(column) for column in zip(*values))
            print(f"  {name:8} {wall:7.3f} s a step, {cpu:7.3f} CPU s")
    for name, over in (("loop", "bare"), ("bare", "PyTorch")):
        if found[over]:
            ratios = [
                statistics.median(b[k] / a[k] for a, b in zip(found[name], found[over]))
                for k in (0, 1)
            ]
            print(
                f"  the {name}'s rate is {ratios[0]:.2f} times that of {over}, "
                f"{ratios[1]:.2f} by CPU time"
            )


def make_run(folder: Path) -> Path:
    """Trains a denoiser for a few steps, to have a run to sample from."""
    from phire.downscaling import train_generator

    run = folder / "run"
    train_generator(
        write_records(folder, "unet-small", 1), run, network="unet-small", objective="edm",
        epochs=(1,), learning_rates=(1e-3,), batch_size=16,
    )  # fmt: skip
    return run


def sampling(options: argparse.Namespace) -> None:
    """Prints the time that tiling takes, and the peak memory of predictions."""
    from phire.downscaling.denoising import DenoisedFields
    from phire.training import open_run
    from phire.training.determinism import prepare_process

    prepare_process("float32", 0, False)
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder))
        opened = open_run(run)
        network = opened.network("generator")
        from phire.records.schema import SampleSchema

        fields = DenoisedFields(
            network, SampleSchema.from_dict(opened.config["schema"]), opened.config["objective"],
            f"dpmpp-2m,steps={options.sampler_steps}", tile=options.tile, overlap=options.overlap,
        )  # fmt: skip
        inside = np.zeros(2)
        calls = 0
        call = fields._graphs

        def counted(arrays: dict) -> np.ndarray:
            nonlocal inside, calls
            begun = np.array([time.perf_counter(), time.process_time()])
            made = call(arrays)
            inside += np.array([time.perf_counter(), time.process_time()]) - begun
            calls += 1
            return made

        low = np.random.default_rng(0).normal(size=(1, 64, 128, 2)).astype("f4")
        sample = functools.partial(
            fields.sample, {"low": low}, seed=0, times=[0], closed=True
        )  # fmt: skip
        sample(members=[0])  # traces the graph
        fields._graphs = counted
        wall, cpu = timed(lambda: sample(members=range(options.members)), 1)
        print(
            f"{options.members} members of 256 × 512 points, {options.sampler_steps} steps of "
            f"dpmpp-2m, tiles of {fields.sides[0]} coarse points, {fields.overlap} shared: "
            f"{wall:.1f} s, {cpu:.1f} CPU s, {calls} calls of the network"
        )
        extra = (wall / inside[0] - 1, cpu / inside[1] - 1)
        print(f"  beside the network: {extra[0]:.1%} of its time, {extra[1]:.1%} by CPU time")
        for members in (4, options.members, 4 * options.members, 16 * options.members):
            peak = peak_of_prediction(run, Path(folder), members, options.sampler_steps)
            print(f"  phire predict --members {members}: peak of {peak / 2**30:.2f} GiB")


def peak_of_prediction(run: Path, folder: Path, members: int, steps: int) -> int:
    """Returns the peak resident memory of ``phire predict`` for 256 × 512 points, in bytes."""
    from benchmark_training import write_store

    store = folder / "large.h5"
    if not store.exists():
        write_store(store, 256)
    command = [
        "phire", "predict", run, store, folder / f"members-{members}.nc", "--coarsen", str(SCALE),
        "--any-spacing", "--members", str(members), "--time", ",1970-01-01T01",
        "--sampler", f"dpmpp-2m,steps={steps}", "--quiet",
    ]  # fmt: skip
    # Measured from a small process: a child's peak includes its parent's memory until it starts.
    measure = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    given = [sys.executable, "-c", measure, *map(str, command)]
    return 1024 * int(subprocess.run(given, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Runs the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["training", "sampling"], help="by default both")
    parser.add_argument("--case", choices=CASES, action="append", help="by default both")
    parser.add_argument("--precision", choices=PRECISIONS, action="append", help="by default both")
    parser.add_argument("--pytorch", metavar="PYTHON", help="interpreter that has PyTorch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5, help="steps of a block")
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--jit", action="store_true", help="compile the step with XLA")
    parser.add_argument("--members", type=int, default=16)
    parser.add_argument("--sampler-steps", type=int, default=2)
    parser.add_argument("--tile", type=int, help="side of a tile in coarse points")
    parser.add_argument("--overlap", type=int, help="coarse points that tiles share")
    options = parser.parse_args()
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    from phire.cli.command import import_tensorflow

    import_tensorflow()  # as the commands do
    if options.only != "sampling":
        rival = PyTorch(options.pytorch, options.threads) if options.pytorch else None
        print(f"{rival.version if rival else 'without PyTorch'}, {options.threads} thread(s)")
        for case in options.case or CASES:
            for precision in options.precision or PRECISIONS:
                training(case, precision, options, rival)
        if rival is not None:
            rival.close()
    if options.only != "training":
        sampling(options)


if __name__ == "__main__":
    sys.exit(main())
