"""Runs without a training: a network of random weights in a run's directory."""

from __future__ import annotations

import json
from pathlib import Path

import keras

from phire.networks import network
from phire.records.schema import SampleSchema
from phire.training.run_directory import prepare_run


def make_run(path: Path, schema: SampleSchema, shapes, specification: str, **inputs) -> Path:
    """Writes a run whose network has every weight drawn anew, biases too.

    Args:
        path: The directory to make.
        schema: What the samples are.
        shapes: Shapes of the network.
        specification: ``NAME,key=value,…`` of the network.
        **inputs: Files that the records were made of.
    """
    keras.utils.set_random_seed(3)
    built = network.build(specification, shapes)
    for weight in built.trainable_weights:
        # Larger than they begin, so that random inputs show.
        weight.assign(weight + keras.random.normal(weight.shape, stddev=0.05))
    config = {"network": specification, "schema": schema.to_dict(), "inputs": inputs}
    run = prepare_run(path, config, overwrite=False)
    built.save(run.path / "networks" / "generator.keras")
    provenance = run.path / "provenance.json"
    facts = json.loads(provenance.read_text())
    provenance.write_text(json.dumps({**facts, "completed": "2026-01-01T00:00:00"}))
    return run.path
