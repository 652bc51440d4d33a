"""A small simulation of weather: forced–dissipative shallow water on the sphere.

It needs no download, runs in seconds, and has what the method needs: a jet on either hemisphere,
eddies that travel, a steep energy spectrum, and fields that are the less alike the further apart in
time they are.
"""

from __future__ import annotations

import dataclasses
import math
import os

import numpy as np

from phire import files, interruption, progress, provenance, value_text
from phire.errors import InputError, WorkError, naming_arguments
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.harmonics import SphericalHarmonics
from phire.fields.source_writing import recorded_options
from phire.fields.store_writing import StoreWriter
from phire.fields.time import TimeAxis, duration_text, parse_duration

GRAVITY = 9.80616  # m s⁻²
ROTATION = 7.292e-5  # s⁻¹
DAY = 86400
SMALLEST = 32
"""Rows from which on the truncation lets some of the stirred degrees through."""
CHANNELS = ("divergence", "vorticity")
UNITS = ("s**-1", "s**-1")


@dataclasses.dataclass(frozen=True)
class ShallowWater:
    """Parameters of the simulation, in SI units.

    Attributes:
        mean_depth: Depth of the fluid at rest.
        jet_speed, jet_latitude, jet_width: The zonal jets that the flow relaxes to (degrees).
        relaxation_time: Of vorticity, divergence and depth towards the jets in balance.
        dissipation_time: Of the hyperdiffusion at the truncation.
        stirring: Amplitude of the random vorticity source a coefficient, s⁻².
        stirring_degree, stirring_width: Degrees that are stirred: centre and half width.
        stirring_memory: Decorrelation time of the stirring.
        robert_asselin: Strength of the time filter.
    """

    mean_depth: float = 8000.0
    jet_speed: float = 50.0
    jet_latitude: float = 45.0
    jet_width: float = 12.0
    relaxation_time: float = 6 * DAY
    dissipation_time: float = 3 * 3600.0
    stirring: float = 8.5e-12
    stirring_degree: int = 20
    stirring_width: int = 5
    stirring_memory: float = 2 * DAY
    robert_asselin: float = 0.06


class Integration:
    """A running integration in vorticity–divergence form.

    Semi-implicit leapfrog with a Robert–Asselin filter on a Gaussian transform grid, truncated
    triangularly at two thirds of its rows, so that quadratic terms are free of aliasing.

    Args:
        rows: Rows H of the Gaussian grid (H × 2H).
        seed: Seed of the initial disturbance and of the stirring.
        parameters: Parameters of the flow.
        threads: Threads of the transforms.
        interval: Seconds that the time step must divide.

    Attributes:
        time_step: Seconds; the largest that divides the interval and is stable: 600 s up to 128
            rows, beyond in proportion to the spacing.
        coriolis: Coriolis parameter of each row, s⁻¹.
        balanced_jets: (3, n) coefficients of vorticity, divergence and geopotential of the jets
            that the flow relaxes to.
        state, previous_state: The same of the flow at this time step and the one before.
    """

    def __init__(
        self,
        rows: int,
        seed: int,
        parameters: ShallowWater | None = None,
        threads: int | None = None,
        interval: float = 3 * 3600,
    ) -> None:
        self.parameters = p = parameters or ShallowWater()
        self.grid = Grid.gaussian(rows)
        self.harmonics = h = SphericalHarmonics(
            self.grid, truncation=2 * rows // 3 - 1, threads=threads
        )
        stable = 600.0 * min(1.0, 128 / rows)
        self.time_step = interval / math.ceil(interval / stable)
        self._random = np.random.default_rng(seed)
        degree = h.degrees.astype(np.float64)
        self._laplacian = -degree * (degree + 1) / EARTH_RADIUS**2
        largest = h.truncation * (h.truncation + 1) / EARTH_RADIUS**2
        self._dissipation = (-self._laplacian / largest) ** 4 / p.dissipation_time
        self.coriolis = 2 * ROTATION * np.sin(np.deg2rad(self.grid.latitudes))[:, None]
        self._stirred = (np.abs(degree - p.stirring_degree) <= p.stirring_width) & (h.orders > 0)
        self.balanced_jets = self._balanced_jets()
        count = len(degree)
        disturbance = np.zeros(count, np.complex128)
        disturbance[self._stirred] = 1e-7 * self._draw()[self._stirred]
        state = self.balanced_jets.copy()
        state[0] += disturbance
        self.state, self.previous_state = state, state.copy()
        self._stirring = np.zeros(count, np.complex128)
        self._first = True

    def _draw(self) -> np.ndarray:
        real, imaginary = self._random.normal(size=(2, len(self.harmonics.degrees)))
        return (real + 1j * imaginary) / np.sqrt(2)

    def _balanced_jets(self) -> np.ndarray:
        """Returns (3, n) vorticity, divergence and geopotential of the jets in non-linear
        balance."""
        p, h = self.parameters, self.harmonics
        latitude = self.grid.latitudes[:, None]
        zonal = sum(
            p.jet_speed * np.exp(-(((latitude - sign * p.jet_latitude) / p.jet_width) ** 2))
            for sign in (1, -1)
        )
        u = np.broadcast_to(zonal, self.grid.shape)
        vorticity, divergence = h.analyse_wind(u, np.zeros(self.grid.shape))
        target = np.stack([vorticity, 0 * divergence, 0 * divergence])
        # The geopotential that leaves the divergence at rest.
        tendency = self._tendencies(target)[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            target[2] = np.where(self._laplacian < 0, tendency / self._laplacian, 0)
        return target

    def _tendencies(self, state: np.ndarray) -> np.ndarray:
        """Returns (3, n) explicit tendencies, all but the gravity-wave terms."""
        h = self.harmonics
        absolute = h.synthesise(state[0]) + self.coriolis
        geopotential = h.synthesise(state[2])
        u, v = h.synthesise_wind(state[0], state[1])
        curl, divergence = h.analyse_wind(absolute * u, absolute * v)
        _, flux = h.analyse_wind(geopotential * u, geopotential * v)
        energy = h.analyse((u * u + v * v) / 2)
        return np.stack([-divergence, curl - self._laplacian * energy, -flux])

    def step(self) -> None:
        """Advances the flow by one time step."""
        p = self.parameters
        # The first step is a forward one of half the length of a leap.
        dt = self.time_step if self._first else 2 * self.time_step
        memory = np.exp(-self.time_step / p.stirring_memory)
        noise = np.where(self._stirred, p.stirring * self._draw(), 0)
        self._stirring = memory * self._stirring + np.sqrt(1 - memory**2) * noise
        before, now = self.previous_state, self.state
        explicit = self._tendencies(now)
        explicit[0] += self._stirring
        explicit += (self.balanced_jets - before) / p.relaxation_time
        # Gravity waves, ∂δ/∂t = −∇²Φ and ∂Φ/∂t = −Φ₀ δ, as the mean of before and after.
        depth = GRAVITY * p.mean_depth
        half = dt / 2
        vorticity = before[0] + dt * explicit[0]
        divergence = before[1] + dt * explicit[1] - half * self._laplacian * before[2]
        geopotential = before[2] + dt * explicit[2] - half * depth * before[1]
        divergence = (divergence - half * self._laplacian * geopotential) / (
            1 - half**2 * depth * self._laplacian
        )
        geopotential = geopotential - half * depth * divergence
        after = np.stack([vorticity, divergence, geopotential]) / (1 + dt * self._dissipation)
        after[2] *= 1 + dt * self._dissipation  # depth is not diffused
        filtered = now + p.robert_asselin * (before - 2 * now + after)
        self.previous_state, self.state = filtered, after
        if self._first:
            self.previous_state, self._first = now, False

    def run(self, seconds: float) -> None:
        """Advances the flow by a whole number of time steps."""
        for _ in range(round(seconds / self.time_step)):
            self.step()

    def fields(self) -> np.ndarray:
        """Returns the present (H, W, 2) divergence and vorticity, s⁻¹."""
        vorticity, divergence = self.harmonics.synthesise(self.state[:2])
        return np.stack([divergence, vorticity], axis=-1)


@naming_arguments()
def simulate(
    output: str | os.PathLike,
    *,
    days: float = 60,
    resolution: int = 128,
    step: str = "3h",
    seed: int = 0,
    spin_up: float = 20,
    threads: int | None = None,
    overwrite: bool = False,
) -> None:
    """Simulates shallow water on the sphere and stores divergence and vorticity.

    Args:
        output: The field store to make; its times start at 2000-01-01.
        days: Days to keep.
        resolution: Rows H of the Gaussian grid, H × 2H, truncated at 2H/3.
        step: Time between stored fields, such as ``3h``.
        seed: Seed of the initial disturbance and of the stirring; the same seed gives the same
            fields.
        spin_up: Days to run before the first field is kept.
        threads: Threads of the transforms; by default one a core.
        overwrite: Replace an output that is there.

    Raises:
        InputError: An option is impossible, or the output was made by something else.
        WorkError: The flow grew without bound.
    """
    interval = parse_duration(step)
    options = {
        "days": float(days),
        "resolution": int(resolution),
        "step": duration_text(interval),
        "seed": int(seed),
        "spin_up": float(spin_up),
    }
    _check_options(resolution, days, step, interval, seed, threads, spin_up)
    recorded = recorded_options(output) if os.path.lexists(output) else None
    if provenance.already_made(output, recorded, options, overwrite):
        return
    integration = Integration(resolution, seed, threads=threads, interval=interval)
    count = int(days * DAY // interval)
    start = 946684800  # 2000-01-01
    time = TimeAxis(start + interval * np.arange(count), "proleptic_gregorian")
    spin_up_intervals = int(spin_up * DAY // interval)
    record = provenance.record(options)
    with (
        files.replacing(output) as partial,
        interruption.undisturbed(
            StoreWriter,
            partial,
            channels=CHANNELS,
            units=UNITS,
            grid=integration.grid,
            time=time,
            record=record,
        ) as writer,
        progress.progress_bar("simulating", spin_up_intervals + count, "fields") as advance,
    ):
        for i in range(-spin_up_intervals, count):
            if i >= 0:
                fields = integration.fields()
                if not np.isfinite(fields).all():
                    raise WorkError(f"the simulation grew without bound at {time.format(i)}.")
                with interruption.deferred():
                    writer.append(fields[None])
            integration.run(interval)
            advance()
    fields = value_text.counted(count, "field")
    progress.say(f"{output}: {fields}, {step} apart, on {integration.grid.in_words()}.")


def _check_options(
    resolution: int, days: float, step: str, interval: int, seed: int, threads: int | None,
    spin_up: float,
) -> None:  # fmt: skip
    """Raises an InputError for options of :func:`simulate` that are out of range."""
    if resolution < SMALLEST or resolution % 2:
        raise InputError(
            f"--resolution {resolution} must be an even number of rows from {SMALLEST} on: coarser "
            "grids do not hold the eddies."
        )
    if not days * DAY >= interval:
        raise InputError(f"--days {days:g} is less than one --step of {step}: simulate longer.")
    if seed < 0:
        raise InputError(f"--seed {seed} must be a whole number from 0 on.")
    if threads is not None and threads < 1:
        raise InputError(f"--threads {threads} must be at least 1.")
    if not 0 <= spin_up < np.inf:
        raise InputError(f"--spin-up {spin_up:g} must be a number of days from 0 on.")
