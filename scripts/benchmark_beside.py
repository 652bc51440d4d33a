"""Compares the training speed of phire with that of DL4DS or PyTorch.

Both sides train the same network (equal number of weights) on the same batch with Adam on the mean
absolute error, each in a process with one thread. ``step`` is forward pass, gradient and update on
a batch in memory. ``loop`` is training on data: phire's on records, DL4DS's ``fit`` on its
generator. Blocks of both sides alternate, so that other load on the machine affects both equally.
Ratios are medians over the blocks, for wall time and for processor time. ``--memory`` measures the
peak memory of a loop for two lengths of the data.

    python scripts/benchmark_beside.py dl4ds --python DL4DS_ENV/bin/python --memory
    python scripts/benchmark_beside.py pytorch --python TORCH_ENV/bin/python

The other side's Python needs TensorFlow 2.15 and dl4ds 1.8 (``SKLEARN_ALLOW_DEPRECATED_SKLEARN_\
PACKAGE_INSTALL=True pip install "tensorflow==2.15.*" "numpy<2" "opencv-python<4.11" dl4ds``), or
torch and transformers.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from phire.fields import Grid, StoreWriter, TimeAxis
from phire.records import write_downscaling_records

FOLDER = Path(__file__).parent / "beside"
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS",
           "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Case:
    """One network, as both sides specify it.

    Attributes:
        network: Specification of the network in phire.
        other: Arguments of the other side's script that specify the network.
        filters, blocks, scale, side, batch_size: Options of both sides; ``side`` in coarse points.
        window: Number of time steps in a sample.
    """

    network: str
    other: tuple[str, ...]
    filters: int
    blocks: int
    scale: int = 4
    side: int = 16
    batch_size: int = 32
    window: int | None = None


PRESET = "preset=dl4ds,checkerboard_free=false"
CASES = {
    "dl4ds": {
        "resnet-spc": Case(f"resnet,{PRESET},filters=8,blocks=6", ("--backbone=resnet",), 8, 6),
        "convnet-pin": Case(
            f"convnet,{PRESET},filters=8,blocks=6,upsampling=pre",
            ("--backbone=convnet", "--upsampling=pin"), 8, 6,
        ),
        "recurrent-resnet-spc": Case(
            f"resnet,{PRESET},filters=8,blocks=4", ("--backbone=resnet", "--window=4"), 8, 4,
            batch_size=8, window=4,
        ),
    },
    "pytorch": {
        "resnet": Case("resnet,filters=32,blocks=6", ("resnet",), 32, 6, side=24, batch_size=16),
        "swin2sr": Case(
            "swin2sr,filters=60,depths=[6,6,6,6],heads=6", ("swin2sr",), 60, 4, batch_size=8
        ),
    },
}  # fmt: skip


def write_fields(path: Path, length: int) -> Path:
    """Writes fields of waves and noise, (length, 128, 128), as .npy and as a field store."""
    random = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, 128)
    grid = Grid.regional(60 - 0.1 * np.arange(128), 0.1 * np.arange(128))
    fields = np.lib.format.open_memmap(path, "w+", np.float32, (length, 128, 128))
    with StoreWriter(
        path.with_suffix(".h5"), channels=["tas"], units=["K"], grid=grid,
        time=TimeAxis(np.arange(length) * 10_800, "standard"),
    ) as writer:  # fmt: skip
        for number in range(length):
            waves = np.sin(3 * angle + 0.1 * number)[:, None] * np.cos(5 * angle)
            fields[number] = waves + 0.3 * random.normal(size=(128, 128))
            writer.append(280 + fields[number][None, ..., None])
    fields.flush()
    return path


def write_records(path: Path, case: Case) -> Path:
    """Writes the records of a case, from the field store beside ``path``."""
    records = path.with_suffix("")
    side = case.side * case.scale
    write_downscaling_records(
        path.with_suffix(".h5"), records, patch=(side, side), scale=case.scale,
        patches_per_field=1, normalization="z", shards=4, window=case.window,
    )  # fmt: skip
    return records


class Worker:
    """Process that takes training steps on request; see ``beside/worker.py``."""

    def __init__(self, python: str, script: str, arguments: list[str], threads: int) -> None:
        environment = {**os.environ, **dict.fromkeys(THREADS, str(threads))}
        self.process = subprocess.Popen(
            [python, str(FOLDER / script), *arguments], text=True, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.told = self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args[1]} ended with {self.process.wait()}.")
        return json.loads(line)

    def take(self, work: str, steps: int) -> dict[str, float]:
        """Takes steps; returns ``wall`` and ``cpu`` seconds per step, and ``memory`` in MB."""
        print(work, steps, file=self.process.stdin, flush=True)
        return self._answer()

    def end(self) -> None:
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()


@contextlib.contextmanager
def both(
    case: Case, data: Path, precision: str, options: argparse.Namespace
) -> Iterator[dict[str, Worker]]:
    """Yields the workers of both sides, after checking that their networks have equal size."""
    sizes = [f"--batch-size={case.batch_size}"]
    ours = [str(data.with_suffix("")), f"--network={case.network}", f"--precision={precision}"]
    workers = {"phire": Worker(sys.executable, "phire_training.py", ours + sizes, options.threads)}
    try:
        names = ("filters", "blocks", "scale", "side")
        theirs = [*case.other, *(f"--{name}={getattr(case, name)}" for name in names), *sizes]
        if options.reference == "dl4ds":
            theirs.insert(0, str(data))
        else:
            theirs += [f"--precision={precision}", f"--threads={options.threads}"]
        script = f"{options.reference}_training.py"
        workers["other"] = Worker(options.python, script, theirs, options.threads)
        counts = [worker.told["parameters"] for worker in workers.values()]
        if counts[0] != counts[1]:
            raise SystemExit(f"phire's network has {counts[0]} weights, the other {counts[1]}.")
        yield workers
    finally:
        for worker in workers.values():
            worker.end()


def compare(name: str, case: Case, data: Path, precision: str, options: Any) -> None:
    """Prints the seconds per step of both sides, and their ratio, for each kind of work."""
    with both(case, data, precision, options) as workers:
        told = workers["other"].told
        print(f"{name}, {told['parameters']} weights, batch {case.batch_size}, {precision}; beside "
              f"{told['version']}; {options.blocks} blocks of {options.steps} steps")  # fmt: skip
        for work in ("step", "loop") if options.reference == "dl4ds" else ("step",):
            found: dict[str, list] = {side: [] for side in workers}
            for block in range(options.blocks):
                for side in [*workers][:: 1 if block % 2 else -1]:
                    found[side].append(workers[side].take(work, options.steps))
            print(f"  {work}: {described(found)}", flush=True)


def described(found: dict[str, list[dict[str, float]]]) -> str:
    """Formats the medians of both sides and of their ratios."""
    parts = []
    for kind in ("wall", "cpu"):
        ours, theirs = ([one[kind] for one in found[side]] for side in ("phire", "other"))
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        seconds = [1e3 * statistics.median(values) for values in (ours, theirs)]
        parts.append(f"{kind} {seconds[0]:.1f} / {seconds[1]:.1f} ms = {ratio:.2f}")
    return ", ".join(parts)


def compare_memory(name: str, case: Case, folder: Path, options: argparse.Namespace) -> None:
    """Prints the peak memory of both loops, for two lengths of the data."""
    print(f"{name}: largest memory of the loop")
    for length in options.lengths:
        data = write_fields(folder / f"fields-{length}.npy", length)
        write_records(data, case)
        with both(case, data, "float32", options) as workers:
            found = {side: one.take("loop", options.steps) for side, one in workers.items()}
        size = length * 128 * 128 * 4 / 2**20
        print(f"  {length} fields ({size:.0f} MB): phire {found['phire']['memory']:.0f} MB, "
              f"{options.reference} {found['other']['memory']:.0f} MB", flush=True)  # fmt: skip


def main() -> None:
    """Runs the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reference", choices=list(CASES))
    parser.add_argument("--python", required=True, help="Python of the other side's environment")
    parser.add_argument("--cases", nargs="+", help="by default all")
    parser.add_argument("--precision", nargs="+", choices=["float32", "bfloat16"],
                        default=["float32"])  # fmt: skip
    parser.add_argument("--memory", action="store_true", help="compare memory, too (dl4ds)")
    parser.add_argument("--lengths", type=int, nargs=2, default=(1000, 8000),
                        help="fields of 128 × 128 points, of --memory")  # fmt: skip
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10, help="steps of a block")
    parser.add_argument("--blocks", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, (name, case) in enumerate(CASES[options.reference].items()):
            if options.cases and name not in options.cases:
                continue
            data = write_fields(folder / f"{name}.npy", 500)
            write_records(data, case)
            for precision in options.precision:
                compare(name, case, data, precision, options)
            if options.memory and number == 0:
                compare_memory(name, case, folder, options)


if __name__ == "__main__":
    main()
