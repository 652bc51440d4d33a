"""Checkpoints: whatever became of the newest one, the one before is there."""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import pytest

from phire.training.checkpoints import Checkpoints
from toy_objective import Line


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Two checkpoints and the weights of the older one."""
    objective = Line()
    directory = tmp_path_factory.mktemp("checkpoints")
    checkpoints = Checkpoints(directory, objective, keep=2)
    weights = [np.array(weight) for weight in objective.network.weights]
    checkpoints.save(1, {"step": 1})
    for weight in objective.network.weights:
        weight.assign(weight + 1.0)
    checkpoints.save(2, {"step": 2})
    return directory, weights


def restored(directory):
    objective = Line()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        state = Checkpoints(directory, objective, keep=2).restore()
    said = [one for one in caught if "trying the previous one" in str(one.message)]
    return state, objective.network.weights, said


@pytest.mark.parametrize("name", ["variables.data-00000-of-00001", "variables.index", "state.json"])
def test_a_checkpoint_cut_anywhere_is_passed_over(saved, tmp_path, name):
    directory, weights = saved
    newest = sorted(directory.glob("step-*"))[-1].name
    content = (directory / newest / name).read_bytes()
    lengths = {*np.linspace(0, len(content) - 1, 12, dtype=int), len(content) - 1}
    for length in sorted(lengths):
        copy = tmp_path / f"{length}"
        shutil.copytree(directory, copy)
        (copy / newest / name).write_bytes(content[:length])
        state, found, said = restored(copy)
        assert state == {"step": 1}, length
        assert len(said) == 1
        for a, b in zip(found, weights):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["variables.data-00000-of-00001", "variables.index", "state.json"])
def test_a_checkpoint_that_lacks_a_file_is_passed_over(saved, tmp_path, name):
    directory, _ = saved
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    (sorted(copy.glob("step-*"))[-1] / name).unlink()
    state, _, said = restored(copy)
    assert state == {"step": 1} and len(said) == 1


def test_whole_checkpoints_are_taken_without_a_word(saved):
    state, _, said = restored(saved[0])
    assert state == {"step": 2} and not said
