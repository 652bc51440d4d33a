"""The simulation: the same seed gives the same flow, and the flow is weather-like."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest

from phire.errors import InputError
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.harmonics import SphericalHarmonics
from phire.fields.shallow_water import DAY, Integration, ShallowWater, simulate
from phire.fields.store import open_store
from pipeline import run, start
from spheres import area_mean


def test_the_store_holds_what_was_asked_for(tmp_path):
    path = tmp_path / "flow.h5"
    simulate(path, days=2, resolution=32, step="6h", seed=1, spin_up=1)
    with open_store(path) as store:
        assert store.channels == ("divergence", "vorticity")
        assert store.units == ("s**-1", "s**-1")
        assert store.grid.equals(Grid.gaussian(32))
        assert store.grid.kind == "gaussian"
        assert store.time.format(0) == "2000-01-01T00:00"
        assert (len(store.time), store.time.step_text) == (8, "6 h")
        assert np.isfinite(store.read(slice(None))).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_seed_gives_the_same_bits(tmp_path, threads):
    flows = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        path = tmp_path / f"{name}.h5"
        simulate(
            path, days=1, resolution=32, seed=seed, spin_up=2, threads=threads if name == "a" else 2
        )
        with open_store(path) as store:
            flows.append(store.read(slice(None)))
    np.testing.assert_array_equal(flows[0], flows[1])
    assert np.abs(flows[0] - flows[2]).max() > 1e-6


def test_a_steady_flow_stays():
    # The balanced jets, undisturbed, are a solution.
    integration = Integration(64, 0, ShallowWater(stirring=0.0, dissipation_time=1e12))
    integration.state[0] = integration.previous_state[0] = integration.balanced_jets[0]
    before = integration.fields()
    integration.run(2 * DAY)
    after = integration.fields()
    assert np.abs(after - before)[..., 1].max() < 1e-3 * np.abs(before[..., 1]).max()
    assert np.abs(after[..., 0]).max() < 1e-9


def test_gravity_waves_travel_at_their_speed():
    # Without rotation a small swell of degree l oscillates with ω² = l(l+1) g H / a².
    degree = 4
    flow = ShallowWater(
        stirring=0.0, jet_speed=0.0, relaxation_time=1e12, dissipation_time=1e12, robert_asselin=0.0
    )
    integration = Integration(32, 0, flow, interval=60)
    integration.coriolis = 0 * integration.coriolis
    swell = (integration.harmonics.degrees == degree) & (integration.harmonics.orders == 0)
    for state in (integration.state, integration.previous_state):
        state[:] = 0
        state[2, swell] = 1.0
    period = 2 * np.pi * EARTH_RADIUS / np.sqrt(degree * (degree + 1) * 9.80616 * 8000)
    steps = round(period / 2 / integration.time_step)
    for _ in range(steps):
        integration.step()
    assert integration.state[2, swell].real[0] == pytest.approx(-1, abs=0.01)
    assert abs(integration.state[2, ~swell]).max() < 1e-3


def test_mass_is_kept():
    integration = Integration(32, 0)
    before = integration.state[2, 0]
    integration.run(DAY)
    assert abs(integration.state[2, 0] - before) < 1e-6 * abs(integration.state[2]).max()


@pytest.mark.slow
def test_the_flow_looks_like_weather(tmp_path):
    path = tmp_path / "flow.h5"
    simulate(path, days=10, resolution=128, seed=0)
    with open_store(path) as store:
        fields, grid = store.read(slice(None)).astype(np.float64), store.grid
    planes = np.moveaxis(fields, -1, 0)
    rms = np.sqrt(area_mean(planes**2, grid).mean(-1))
    assert 4e-8 < rms[0] < 1.6e-7
    assert 2.2e-5 < rms[1] < 3.5e-5

    harmonics = SphericalHarmonics(grid, truncation=84)
    divergence, vorticity = planes[:, ::16]
    u, _ = harmonics.vorticity_divergence_to_wind(vorticity, divergence)
    assert 45 < np.abs(u).max() < 80
    energy = harmonics.kinetic_energy_spectrum(vorticity, divergence).mean(0)
    slope = np.polyfit(np.log(np.arange(25, 60)), np.log(energy[25:60]), 1)[0]
    assert -7 < slope < -3

    # Vorticity remembers for days, divergence for half a day; both forget steadily.
    correlations = []
    for steps in (1, 2, 4, 8, 16):
        product = area_mean(planes[:, :-steps] * planes[:, steps:], grid).mean(-1)
        correlations.append(product / rms**2)
    of_divergence, of_vorticity = np.transpose(correlations)
    np.testing.assert_allclose(of_vorticity, [0.99, 0.95, 0.86, 0.69, 0.49], atol=0.08)
    np.testing.assert_allclose(of_divergence, [0.91, 0.75, 0.41, 0.05, -0.08], atol=0.2)
    assert (np.diff(of_vorticity) < 0).all()


def test_the_command_goes_again_after_a_kill(tmp_path):
    path = tmp_path / "flow.h5"
    command = ("phire", "simulate", path, "--resolution", 64, "--spin-up", 1, "--days", 10)
    process = start(*command)
    deadline = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not path.exists()
    run(*command)
    assert [entry.name for entry in tmp_path.iterdir()] == ["flow.h5"]
    with open_store(path) as store:
        assert np.isfinite(store.read(slice(None))).all()
        assert len(store.time) == 80
    assert "already made" in run(*command)
    assert "seed was 0, now 1" in run(*command, "--seed", 1, status=2)


def test_an_output_of_something_else_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(InputError, match="not made by this command"):
        simulate(path, days=1, resolution=32)
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"resolution": 33}, "resolution 33"),
        ({"resolution": 16}, "resolution 16"),
        ({"days": 0.1}, "days 0.1"),
        ({"spin_up": -1}, "spin_up -1"),
        ({"step": "soon"}, "'soon' is not a duration"),
        ({"seed": -1}, "seed -1"),
        ({"threads": 0}, "threads 0"),
    ],
)
def test_impossible_options_are_named(tmp_path, options, named):
    with pytest.raises(InputError, match=named):
        simulate(tmp_path / "flow.h5", **options)
    assert not list(tmp_path.iterdir())
