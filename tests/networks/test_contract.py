"""Every registered network keeps to the contract: inputs, output, gradients, saving, halo."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from networks import contract
from phire.networks.blocks.fine_output import fine_layer_of

CASES = list(contract.cases())


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.id)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def model(case):
    return contract.build(case)


def test_inputs_and_output(case, model):
    names = set(contract.inputs_of(model))
    assert {"low", *case.inputs} - {"margin"} <= names <= contract.INPUTS
    fine = model(contract.sample(model, case), training=False)
    assert fine.shape == contract.output_shape(case)
    assert fine.dtype == tf.float32
    assert np.isfinite(fine).all()
    assert model.output_names == ["fine"]


def test_every_weight_learns(case, model):
    assert contract.faulty_gradients(model, case) == []


def test_saving_keeps_everything(case, model, tmp_path):
    loaded = contract.saved_and_loaded(model, tmp_path)
    assert contract.largest_difference(model, loaded, case) <= 1
    assert fine_layer_of(loaded).halo == fine_layer_of(model).halo


def test_the_halo_is_what_perturbed_inputs_show(case):
    declared, measured = contract.halos(case)
    if declared is None:
        assert measured is None
    else:
        assert measured <= declared <= measured + case.slack
