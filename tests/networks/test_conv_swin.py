"""DeepR's networks: numeric forward passes and parameter counts of the reference, and the halo."""

from __future__ import annotations

import numpy as np
import pytest

from networks.test_swin import SHUFFLED, TINY, swin_part
from networks.truth_weights import assert_output, assign_formula_weights, formula_input, truth
from phire.errors import InputError
from phire.networks import build

DEEPR = {"low": (44, 60, 1), "high": (160, 240, 1), "margin": 6, "preset": "deepr"}


def test_conv_swin2sr_is_the_references():
    name = "tiny ConvSwin2SR (8, [2], [2], w5, input 12x20, label 40x80, 1 covariable)"
    stated = truth("deepr")["swin2sr"][name]
    model = build(
        "conv-swin2sr", (12, 20, 1), (40, 80, 1), static=1, margin=2, preset="deepr",
        **{**TINY, "window_size": 5},
    )  # fmt: skip
    assert model.count_params() == stated["params"]
    names = {
        "preprocess_model": "context",
        "merge_covars_interp": "merged_interpolated",
        "merge_covars_swin2sr": "merged_network",
    }

    def find(name):
        if name in names:
            return model.get_layer(names[name])
        return swin_part(model, name.removeprefix("swin."))

    shuffled = {f"swin.{name}": factor for name, factor in SHUFFLED.items()}
    assign_formula_weights(stated["names"], find, model.weights, shuffled)
    low, static = formula_input(1, 1, 12, 20), formula_input(1, 1, 40, 80)
    # The stated numbers are those of the covariable mirrored from east to west.
    assert_output(model({"low": low, "static": static[:, :, ::-1]}), stated["out"])


def test_conv_baseline_is_the_references():
    stated = truth("deepr")["conv_baseline"]["tiny [4,3], input 12x20, label 40x80"]
    model = build(
        "conv-baseline", (12, 20, 1), (40, 80, 1), margin=2, preset="deepr", filters=(4, 3)
    )
    assert model.count_params() == stated["params"]

    def find(name):
        if name == "preprocess_model":
            return model.get_layer("context")
        _, block, layer = name.split(".")
        return model.get_layer(f"block{block}_{layer}")

    assign_formula_weights(stated["names"], find, model.weights)
    assert_output(model({"low": formula_input(1, 1, 12, 20)}), stated["out"])


@pytest.mark.parametrize(
    ("count", "network", "options"),
    [
        (12_383_377, "conv-swin2sr", {}),
        (3_515_593, "conv-swin2sr", {"filters": 128, "depths": (4, 4, 4, 4), "heads": 4}),
        (
            3_515_601,
            "conv-swin2sr",
            {"filters": 128, "depths": (4, 4, 4, 4), "heads": 4, "static": 2},
        ),
        (42_089, "conv-baseline", {"filters": (32, 16)}),
        (104_249, "conv-baseline", {}),
    ],
)
def test_parameters_are_as_many_as_the_references(count, network, options):
    model = build(network, **DEEPR, **options)
    assert model.count_params() == count
    assert model.output_shape == (None, 160, 240, 1)


def test_at_first_the_default_adds_little_to_the_interpolated_field():
    model = build("conv-swin2sr", (10, 12, 1), (30, 40, 1), margin=2, **{**TINY, "window_size": 5})
    low = np.full((1, 10, 12, 1), 3.0, "f4")
    assert np.abs(model({"low": low}) - 3).max() < 0.5


@pytest.mark.parametrize("preset", ["none", "deepr"])
def test_it_has_a_block_at_scale_one(preset):
    model = build("conv-baseline", (8, 9, 2), (8, 9, 3), filters=(4, 3), preset=preset)
    assert model.output_shape == (None, 8, 9, 3)


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        ((None, None, 1), (None, None, 1), "records of fixed size"),
        ((12, 20, 1), (60, 100, 1), "multiples of 8"),
    ],
)
def test_sizes_that_the_preset_cannot_have_are_named(low, high, message):
    with pytest.raises(InputError, match=message):
        build("conv-baseline", low, high, scale=5, preset="deepr")


def test_an_unknown_preset_is_named():
    with pytest.raises(InputError, match="must be one of none, deepr"):
        build("conv-swin2sr", (4, 4, 1), (8, 8, 1), preset="dl4ds")
