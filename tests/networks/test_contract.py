"""Every registered network keeps to the contract: inputs, output, gradients, saving, halo."""

from __future__ import annotations

import pytest

from networks import contract

CASES = list(contract.cases())


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.id)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def model(case):
    return contract.build(case)


def test_inputs_and_output(case, model):
    contract.check_inputs_and_output(model, case)


def test_every_weight_learns(case, model):
    contract.check_gradients(model, case)


def test_saving_keeps_everything(case, model, tmp_path):
    contract.check_saving(model, case, tmp_path)


def test_the_halo_is_what_perturbed_inputs_show(case):
    contract.check_halo(case)
