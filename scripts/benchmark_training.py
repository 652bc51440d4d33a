"""Times the bare training step and the training loop, and prints their ratio.

The bare step is forward pass, gradient and update on one batch in memory, in a separate graph. The
loop is that of phire.training on TFRecords, with metrics, progress and checkpoints. Both alternate
block by block, so that other load on the machine affects both equally; the ratio is the median over
the blocks. On a busy machine, CPU seconds are more reliable than wall time.

The adversarial step is one update of each network. It is followed by a training from random
weights with the balancing rule, whose second steps are counted.

    python scripts/benchmark_training.py                                # both, float32
    python scripts/benchmark_training.py --case srgan --precision bfloat16
    python scripts/benchmark_training.py --case resnet --trace trace/   # and a profile
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from phire.cli.command import import_tensorflow

import_tensorflow()  # as the commands do

import numpy as np
import tensorflow as tf

from phire.errors import InputError
from phire.fields import Grid, StoreWriter, TimeAxis
from phire.records import open_records, write_downscaling_records, write_pair_records
from phire.training import Objective
from phire.training.determinism import prepare_process
from phire.training.devices import choose_strategy
from phire.training.step_graphs import Stepper

CLASSES = 23


def write_store(path: Path, rows: int) -> Path:
    """Writes a store of 64 fields of smooth waves and noise, divergence and vorticity."""
    random = np.random.default_rng(0)
    grid = Grid.cell_centred(rows)
    time_axis = TimeAxis(np.arange(64) * 10_800, "standard")
    longitude = np.deg2rad(grid.longitudes)
    with StoreWriter(
        path,
        channels=["divergence", "vorticity"],
        units=["s**-1"] * 2,
        grid=grid,
        time=time_axis,
    ) as writer:
        for t in range(64):
            waves = [np.sin(k * longitude - 0.1 * t * k) for k in (3, 5)]
            noise = random.normal(size=(1, *grid.shape, 2))
            writer.append((1e-5 * (np.stack(waves, -1)[None, None] + 0.3 * noise)).astype("f4"))
    return path


def resnet(folder: Path, batch_size: int, precision: str) -> tuple[Callable, Callable]:
    """Returns functions that build AtmoDist's objective at the paper's size, and its batches."""
    from phire.rplearn.pretext_task import Task
    from phire.rplearn.recipes import build_optimizer
    from phire.rplearn.representation_training import objectives
    from phire.training import set_clipping

    store = write_store(folder / "pairs.h5", 320)
    path = folder / "pairs"
    write_pair_records(
        store, path, patch=(160, 160), patches_per_field=20, classes=CLASSES, shards=4
    )
    records = open_records(path)
    task = Task((160, 160, 2), CLASSES, ("divergence", "vorticity"), "resnet-small", {},
                functools.partial(build_optimizer, "sgd", 0.1))  # fmt: skip

    def build() -> Objective:
        made = objectives.build("temporal-distance", task)
        set_clipping(made.optimizers.values(), variable_norm=5.0)
        return made

    return build, lambda epoch: records.dataset(batch_size, seed=0, epoch=epoch)


def srgan(folder: Path, batch_size: int, precision: str) -> tuple[Callable, Callable]:
    """Returns functions that build the SRGAN objective (24×24 → 96×96), and its batches."""
    from phire.downscaling.contents.pointwise import mse
    from phire.downscaling.objectives.srgan import SuperResolution
    from phire.networks import Shapes, discriminator, network

    store = write_store(folder / "fields.h5", 192)
    path = folder / "patches"
    write_downscaling_records(store, path, patch=(96, 96), scale=4, patches_per_field=20, shards=4)
    records = open_records(path)
    shapes = Shapes((24, 24, 2), (96, 96, 2), 4)

    def build() -> Objective:
        return SuperResolution(
            network.build("srgan", shapes),
            discriminator.build("srgan", shapes, False),
            mse,
        )

    return build, lambda epoch: records.dataset(batch_size, seed=0, epoch=epoch)


CASES = {"resnet": (resnet, 32), "srgan": (srgan, 16)}


class Clock:
    """Wall seconds and CPU seconds per step."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def time(self, steps: int, work: Callable[[], object]) -> None:
        """Times a call of ``work``, which takes ``steps`` steps."""
        begun, used = time.perf_counter(), time.process_time()
        work()
        self.wall.append((time.perf_counter() - begun) / steps)
        self.cpu.append((time.process_time() - used) / steps)

    def text(self, batch_size: int) -> str:
        """Formats the medians."""
        wall = statistics.median(self.wall)
        return (
            f"{wall:7.3f} s a step ({batch_size / wall:6.1f} samples/s), "
            f"{statistics.median(self.cpu):6.3f} CPU s"
        )


def forever(batches: Callable[[int], tf.data.Dataset]) -> tf.data.Dataset:
    """Returns the batches of all epochs, one epoch after another."""
    return tf.data.Dataset.range(1_000_000).flat_map(lambda _: batches(0))


def measure(case: str, options: argparse.Namespace) -> None:
    """Prints the times of the bare step and of the loop of a case, and their ratio."""
    make, batch_size = CASES[case]
    batch_size = options.batch_size or batch_size
    with tempfile.TemporaryDirectory() as folder:
        build, batches = make(Path(folder), batch_size, options.precision)
        prepare_process(options.precision, 0, False)
        strategy = choose_strategy(options.devices)
        with strategy.scope():
            objective = build()
        objective.begin("phase 1")
        further_steps = objective.further_steps
        # Second steps depend on the batch, so bare step and loop would differ in their number.
        objective.further_steps = lambda: ()
        held = next(iter(batches(0)))
        bare_step = tf.function(objective.whole_step, jit_compile=options.jit or None)
        stepper = Stepper(objective, strategy, options.jit)
        iterator = stepper.iterator(lambda shard: forever(batches))
        steps = options.steps

        def bare() -> None:
            for _ in range(steps):
                scalars = bare_step(held)
            float(scalars["loss"])

        taken = 0

        def loop() -> None:
            nonlocal taken
            found = stepper.train(iterator, taken, steps)
            if found.broken:
                raise InputError(f"{case}: {', '.join(found.broken)} not finite.")
            taken += steps

        bare_clock, loop_clock = Clock(), Clock()
        bare()  # traces the graph and warms up
        loop()
        for block in range(options.blocks):
            for clock, work in ((bare_clock, bare), (loop_clock, loop))[:: 1 if block % 2 else -1]:
                clock.time(steps, work)
        ratio = statistics.median(a / b for a, b in zip(bare_clock.wall, loop_clock.wall))
        used = statistics.median(a / b for a, b in zip(bare_clock.cpu, loop_clock.cpu))
        name = f"{case}, batch {batch_size}, {options.precision}{', XLA' if options.jit else ''}"
        print(f"{name}: {options.blocks} blocks of {steps} steps")
        print(f"  bare step  {bare_clock.text(batch_size)}")
        print(f"  loop       {loop_clock.text(batch_size)}")
        print(f"  the loop reaches {ratio:.1%} of the bare step's rate ({used:.1%} by CPU time)")
        objective.further_steps = further_steps
        if objective.further_steps():
            measure_balanced(build, strategy, batches, batch_size, options)
        if options.trace:
            tf.profiler.experimental.start(str(options.trace))
            bare()
            tf.profiler.experimental.stop()
            print(f"  profile in {options.trace}")


def measure_balanced(
    build: Callable[[], Objective],
    strategy: tf.distribute.Strategy,
    batches: Callable[[int], tf.data.Dataset],
    batch_size: int,
    options: argparse.Namespace,
) -> None:
    """Prints the time of the loop from random weights, with the balancing rule."""
    with strategy.scope():
        objective = build()
    objective.begin("phase 1")
    stepper = Stepper(objective, strategy, options.jit)
    iterator = stepper.iterator(lambda shard: forever(batches))
    stepper.train(iterator, 0, 1)
    clock = Clock()
    for block in range(options.blocks):
        first = 1 + block * options.steps
        clock.time(options.steps, functools.partial(stepper.train, iterator, first, options.steps))
    steps = 1 + options.blocks * options.steps
    more = {name: int(one.iterations) - steps for name, one in objective.optimizers.items()}
    counted = " and ".join(f"{count} of the {name}" for name, count in more.items())
    wall, cpu = statistics.mean(clock.wall), statistics.mean(clock.cpu)
    print(
        f"  with the balancing rule, first {steps} steps: {wall:.3f} s a step on average, "
        f"{cpu:.3f} CPU s; second steps: {counted}"
    )


def main() -> None:
    """Runs the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=[*CASES, "both"], default="both")
    parser.add_argument("--precision", choices=["float32", "bfloat16", "float16"],
                        default="float32")  # fmt: skip
    parser.add_argument("--devices", choices=["auto", "cpu", "gpu"], default="auto")
    parser.add_argument("--jit", action="store_true", help="compile the step with XLA")
    parser.add_argument("--batch-size", type=int, help="by default 32 and 16")
    parser.add_argument("--steps", type=int, default=10, help="steps of a block")
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--trace", type=Path, help="write a profile for TensorBoard there")
    options = parser.parse_args()
    for case in CASES if options.case == "both" else [options.case]:
        measure(case, options)


if __name__ == "__main__":
    main()
