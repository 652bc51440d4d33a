"""Thresholds and observations in other units than the truth's are refused."""

from __future__ import annotations

import dataclasses
import types

import numpy as np
import pytest

from evaluation.made_fields import setting_of
from phire.errors import InputError
from phire.evaluation import evaluate
from phire.evaluation.given_units import check_given_units
from phire.evaluation.results_folder import Folder
from phire.fields.grid import Grid
from phire.fields.source import ArraySource


@pytest.fixture
def setting():
    """Setting of temperatures from 280 to 300 K."""
    fields = 290 + 10 * np.sin(np.arange(4 * 6 * 8)).reshape(4, 6, 8, 1)
    return dataclasses.replace(setting_of(fields, Grid.pixels(6, 8)), units=("K",))


def observed(setting, values):
    stations = types.SimpleNamespace(observed=np.array(values, float).reshape(-1, 1, 1))
    return dataclasses.replace(setting, stations=stations)


def test_a_threshold_in_degrees_celsius_is_refused(setting):
    name = setting.channels[0]
    for value, refused in ((30.0, True), (303.15, False), (275.0, False)):
        one = dataclasses.replace(setting, thresholds={name: (value,)})
        if refused:
            with pytest.raises(InputError, match=rf"--thresholds {name}=30: .* give it in K"):
                check_given_units(one, one.truth_moments)
        else:
            check_given_units(one, one.truth_moments)


def test_a_refused_evaluation_leaves_no_folder(tmp_path):
    fields = (290 + np.arange(96.0).reshape(2, 6, 8, 1) / 10).astype("f4")
    source = ArraySource(fields, channels=("t",), units=("K",), grid=Grid.pixels(6, 8))
    with pytest.raises(InputError, match="give it in K"):
        evaluate(source, {"own": source}, tmp_path / "out", thresholds={"t": (30.0,)})
    assert not (tmp_path / "out").exists()


def test_observations_in_degrees_celsius_are_refused(setting):
    one = observed(setting, [12.0, np.nan, 20.5])
    with pytest.raises(InputError, match=r"are 12 to 20\.5, but .* give them in K"):
        check_given_units(one, one.truth_moments)
    for values in ([285.0, 270.0], [np.nan]):
        one = observed(setting, values)
        check_given_units(one, one.truth_moments)


def test_rain_outside_the_range_of_the_fields_is_no_mistake(setting):
    """A few dry or wet stations prove nothing about units."""
    fields = 0.1 + np.arange(4 * 6 * 8).reshape(4, 6, 8, 1) / 100
    rain = setting_of(fields, Grid.pixels(6, 8))
    warm = dataclasses.replace(setting_of(fields + 290, Grid.pixels(6, 8)), units=("K",))
    for values in ([0.0], [50.0]):
        one = observed(rain, values)
        assert check_given_units(one, one.truth_moments) is None
        other = observed(warm, values)  # these values are refused where 0 is far away
        with pytest.raises(InputError, match="in K"):
            check_given_units(other, other.truth_moments)


def test_finished_results_outlast_a_refusal(tmp_path):
    folder = Folder(tmp_path, {}, {}, {})
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "scores.nc").touch()
    folder.remove_if_empty()
    assert (tmp_path / "own" / "scores.nc").is_file()
