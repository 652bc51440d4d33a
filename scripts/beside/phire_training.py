"""phire's side of benchmark_beside.py: a step on a batch in memory, and the loop on records."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from worker import serve

from phire.cli.command import import_tensorflow

import_tensorflow()  # as the commands do

import tensorflow as tf

from phire.downscaling.generator_task import Task
from phire.downscaling.generator_training import objectives
from phire.networks import network as networks
from phire.records import open_records
from phire.training.determinism import prepare_process
from phire.training.devices import choose_strategy
from phire.training.step_graphs import Stepper


def prepared(options: argparse.Namespace) -> tuple[Mapping[str, Callable[[int], Any]], dict]:
    """Returns the functions ``step`` and ``loop``, and a description of the network."""
    prepare_process(options.precision, 0, False)
    strategy = choose_strategy("cpu")
    records = open_records(options.records)
    task = Task(records.schema, *networks.resolve(options.network))
    with strategy.scope():
        objective = objectives.build("content,content=mae", task)
    objective.begin("phase 1")
    batch_size = options.batch_size
    held = next(iter(records.dataset(batch_size, seed=0)))
    bare_step = tf.function(objective.whole_step)
    stepper = Stepper(objective, strategy, False)
    epochs = tf.data.Dataset.range(1_000_000)
    iterator = stepper.iterator(
        lambda shard: epochs.flat_map(lambda _: records.dataset(batch_size, seed=0))
    )
    taken = 0

    def step(count: int) -> None:
        for _ in range(count):
            scalars = bare_step(held)
        float(scalars["loss"])

    def loop(count: int) -> None:
        nonlocal taken
        stepper.train(iterator, taken, count)
        taken += count

    parameters = sum(int(tf.size(v)) for v in objective.generator.trainable_variables)
    return {"step": step, "loop": loop}, {"parameters": parameters}


def main() -> None:
    """Serves requests with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("records", type=Path)
    parser.add_argument("--network", required=True)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--batch-size", type=int, required=True)
    options = parser.parse_args()
    serve(lambda: prepared(options))


if __name__ == "__main__":
    main()
