"""Warm start and early stopping as options of a training."""

from __future__ import annotations

import numpy as np
import pytest

from phire.downscaling import train_generator
from phire.errors import InputError
from phire.training import open_run
from phire.training.warm_start import named_layers

SMALL = {
    "objective": "content,content=mae", "epochs": (1,), "learning_rates": (1e-3,), "batch_size": 32
}  # fmt: skip


def test_chosen_layers_of_another_run_are_fine_tuned(records, run, tmp_path, capsys):
    tuned = train_generator(
        records, tmp_path / "run", network="srgan-small,filters=4,blocks=1", initialize_from=run,
        trainable=["pixels", "conv2d_[12]"], restore_best=True, **SMALL,
    )  # fmt: skip
    assert tuned.config["initialize_from"] == str(run)
    assert tuned.config["trainable"] == ["pixels", "conv2d_[12]"]
    assert "weights are trained: conv2d_1, conv2d_2, pixels." in capsys.readouterr().err
    first, second = (named_layers(one.network("generator")) for one in (open_run(run), tuned))
    changed = {
        name for name in first
        if not all(map(np.array_equal, first[name].get_weights(), second[name].get_weights()))
    }  # fmt: skip
    assert changed == {"pixels", "conv2d_1", "conv2d_2"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"network": "srgan-small,filters=6,blocks=1"}, "no layer of the network"),
        ({"pretrained": True}, "pretrained and initialize_from exclude"),
        ({"trainable": ["dense*"]}, r"trainable dense\* matches no layer"),
        ({"initialize_from": "nowhere"}, "nowhere does not exist"),
        ({"schedule": "step,after=0"}, "after=0 must be positive numbers of steps"),
    ],
)
def test_a_warm_start_that_does_not_fit_is_refused(records, run, tmp_path, changed, said):
    changed = {k: run if v is True else v for k, v in changed.items()}
    given = {"network": "srgan-small,filters=4,blocks=1", "initialize_from": run, **changed}
    with pytest.raises(InputError, match=said):
        train_generator(records, tmp_path / "run", **given, **SMALL)
    assert not (tmp_path / "run").exists()
