"""Parts that docs/architecture.md adds work as it says, alone and pasted into a copy of phire."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import xarray as xr

from documented import ROOT, python_blocks
from documented_files import dataset, hours
from networks import contract
from phire.downscaling.generator_task import Task
from phire.downscaling.generator_training import objectives
from phire.downscaling.samplers import schedule, spread_ratios
from phire.downscaling.samplers.registry import sampler
from phire.fields.normalization import Normalization
from phire.networks import network
from phire.records.schema import DOWNSCALING, SampleArray, SampleSchema

PAGE = ROOT / "docs" / "architecture.md"


@pytest.fixture
def documented():
    """The page's code, run; what it registers is removed at the end."""
    for code in python_blocks(PAGE)[:3]:
        exec(compile(code, str(PAGE), "exec"), {"__name__": "documented"})
    yield
    for registry, name in ((network, "mine"), (objectives, "huber"), (sampler, "ralston")):
        del registry.registered[name]


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


def test_the_sampler_is_of_second_order(documented):
    errors = []
    for steps in (32, 64):
        levels = schedule("exponential", steps, sigma_min=1e-4, sigma_max=80)
        errors.append(abs(spread_ratios([0.5, 2.0], levels, "ralston", start_with_data=True) - 1))
    assert (errors[1] < 0.3 * errors[0]).all()
    assert (errors[1] < 0.05).all()


COMMANDS = """
from phire.cli import phire, phire_data, phire_eval, phire_train

def run(module, line):
    module.main(line.split(), prog_name="test", standalone_mode=False)

run(phire, "convert relief.asc relief.h5")
run(phire, "convert relief.asc relief.nc")
run(phire_data, "fine.nc records --scale 4 --whole-fields --normalization z")
run(phire_train, "records --out run --network mine,filters=4 --objective huber,delta=2 "
    "--epochs 1 --learning-rates 1e-3 --batch-size 4 --quiet")
run(phire, "predict run fine.nc refined.nc --coarsen 4 --quiet")
run(phire_eval, "fine.nc --candidate mine=refined.nc --scale 4 --metrics largest_error "
    "--out results --quiet")
run(phire, "parts sampler ralston")
"""


@pytest.mark.slow
def test_a_copy_of_phire_with_the_page_s_parts_pasted_in(tmp_path):
    text = PAGE.read_text(encoding="utf-8")
    shutil.copytree(ROOT / "python" / "phire", tmp_path / "python" / "phire",
                    ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
    files = re.findall(r"^`(python/phire/\S+\.py)`.*?```python\n(.*?)```", text, re.M | re.S)
    assert len(files) == 5
    for path, code in files:
        assert not (ROOT / path).exists()
        (tmp_path / path).write_text(f'"""Pasted in."""\n\n{code}')
    (difference,) = re.findall(r"```diff\n(.*?)```", text, re.S)
    subprocess.run(
        ["git", "apply", "-C1", "-"], input=difference, text=True, cwd=tmp_path, check=True
    )
    (tmp_path / "relief.asc").write_text(
        "ncols 3\nnrows 2\nxllcorner 10\nyllcorner 50\ncellsize 0.5\nNODATA_value -9999\n"
        "1 2 3\n4 -9999 6\n"
    )
    dataset(["tas"], (30.0 - np.arange(16), np.arange(20.0)), hours("2000-01-01", 8)).to_netcdf(
        tmp_path / "fine.nc"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "python")}
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS], cwd=tmp_path, env=environment, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Ralston's method" in done.stdout
    with xr.open_dataset(tmp_path / "relief.nc") as relief:
        field = relief["relief"].squeeze()
        np.testing.assert_array_equal(field.latitude, [50.75, 50.25])
        np.testing.assert_array_equal(field.longitude, [10.25, 10.75, 11.25])
        np.testing.assert_array_equal(field, [[1, 2, 3], [4, np.nan, 6]])
    with (
        xr.open_dataset(tmp_path / "results" / "mine" / "largest_error.nc") as scores,
        xr.open_dataset(tmp_path / "fine.nc") as fine,
        xr.open_dataset(tmp_path / "refined.nc") as refined,
    ):
        error = np.abs(fine["tas"].values - refined["tas"].values).max((1, 2))
        np.testing.assert_allclose(scores["largest_error"].squeeze(), error, rtol=1e-5)
