"""The network and the objective that docs/architecture.md adds work as it says."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from documented import ROOT, python_blocks
from networks import contract
from phire.downscaling.task import Task
from phire.downscaling.training import objectives
from phire.fields.normalization import Normalization
from phire.networks import network
from phire.records.schema import DOWNSCALING, SampleArray, SampleSchema

PAGE = ROOT / "docs" / "architecture.md"


@pytest.fixture
def documented():
    """The page's code, run; what it registers is removed at the end."""
    for code in python_blocks(PAGE)[:2]:
        exec(compile(code, str(PAGE), "exec"), {"__name__": "documented"})
    yield
    for registry, name in ((network, "mine"), (objectives, "huber")):
        registry.unregister(name)


@pytest.mark.parametrize("shapes", [contract.PLAIN, contract.EVERYTHING])
def test_the_network_keeps_to_the_contract(documented, tmp_path, shapes):
    case = contract.Case("mine", {"filters": 3}, shapes)
    model = contract.build(case)
    assert model(contract.sample(model, case)).shape == contract.output_shape(case)
    assert contract.faulty_gradients(model, case) == []
    loaded = contract.saved_and_loaded(model, tmp_path)
    assert contract.largest_difference(model, loaded, case) <= 1
    declared, measured = contract.halos(case)
    assert measured <= declared <= measured + case.slack


def test_the_objective_trains_it(documented):
    normalization = Normalization.identity(("t",))
    arrays = {
        name: SampleArray(("t",), ("K",), (*size, 1), normalization=normalization)
        for name, size in (("low", (4, 4)), ("high", (8, 8)), ("valid", (8, 8)))
    }
    schema = SampleSchema(DOWNSCALING, arrays, scale=2)
    made = objectives.build("huber,delta=2", Task(schema, *network.resolve("mine,filters=4")))
    random = np.random.default_rng(0)
    low = random.normal(size=(8, 4, 4, 1)).astype("f4")
    high = low.repeat(2, 1).repeat(2, 2)
    valid = (high > -1).astype("f4")
    batch = {name: tf.constant(x) for name, x in (("low", low), ("high", high), ("valid", valid))}
    made.optimizers["generator"].learning_rate = 0.01
    losses = [float(made.whole_step(batch)["loss"]) for _ in range(60)]
    assert losses[-1] < 0.3 * losses[0]
