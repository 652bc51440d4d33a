"""Simulation of weather-like fields: forced–dissipative shallow water on the sphere.

It provides test data without a download. The flow has a jet in each hemisphere, travelling eddies,
a steep energy spectrum, and fields whose similarity decreases with their distance in time.
"""

from __future__ import annotations

import dataclasses
import math
import os

import numpy as np

from phire import existing_outputs, files, interruption, progress, provenance, value_text
from phire.errors import InputError, WorkError, naming_arguments
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.harmonics import SphericalHarmonics
from phire.fields.source_writing import options_of_fields
from phire.fields.store_writing import StoreWriter
from phire.fields.time_axis import TimeAxis, duration_text, parse_duration

GRAVITY = 9.80616  # m s⁻²
ROTATION = 7.292e-5  # s⁻¹
DAY = 86400
SMALLEST = 32
"""Smallest number of rows whose truncation resolves some of the stirred degrees."""
CHANNELS = ("divergence", "vorticity")
UNITS = ("s**-1", "s**-1")


@dataclasses.dataclass(frozen=True)
class ShallowWater:
    """Parameters of the simulation, in SI units.

    Attributes:
        mean_depth: Depth of the fluid at rest.
        jet_speed: Speed of the zonal jets that the flow relaxes to.
        jet_latitude, jet_width: Latitude and half width of the jets, degrees.
        relaxation_time: Time scale of the relaxation of vorticity, divergence and depth to the
            balanced jets.
        dissipation_time: Time scale of the hyperdiffusion at the truncation.
        stirring: Amplitude of the random source of each coefficient of vorticity, s⁻².
        stirring_degree, stirring_width: Centre and half width of the range of stirred degrees.
        stirring_memory: Decorrelation time of the stirring.
        robert_asselin: Strength of the Robert–Asselin time filter.
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
    """Integration of the shallow-water equations in vorticity–divergence form.

    The scheme is a semi-implicit leapfrog with a Robert–Asselin filter. The transform grid is
    Gaussian, with triangular truncation at two thirds of its rows, so that quadratic terms have no
    aliasing.

    Args:
        rows: Number of rows H of the Gaussian grid (H × 2H).
        seed: Seed of the initial disturbance and of the stirring.
        parameters: Parameters of the flow; by default those of :class:`ShallowWater`.
        threads: Number of threads of the transforms; by default one for each core.
        interval: Duration (s) that is a multiple of the time step.

    Attributes:
        time_step: Largest stable time step (s) that divides the interval. The limit is 600 s up to
            128 rows, and decreases in proportion to the spacing above.
        coriolis: (H, 1) Coriolis parameter of each row, s⁻¹.
        balanced_jets: (3, n) coefficients of vorticity, divergence and geopotential of the jets
            that the flow relaxes to.
        state, previous_state: (3, n) coefficients of the flow at the present and the previous time
            step.
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
        """Draws complex normal coefficients (n,) of unit variance."""
        real, imaginary = self._random.normal(size=(2, len(self.harmonics.degrees)))
        return (real + 1j * imaginary) / np.sqrt(2)

    def _balanced_jets(self) -> np.ndarray:
        """Returns the coefficients (3, n) of the jets in nonlinear balance.

        They are vorticity, divergence (zero) and geopotential.
        """
        p, h = self.parameters, self.harmonics
        latitude = self.grid.latitudes[:, None]
        zonal = sum(
            p.jet_speed * np.exp(-(((latitude - sign * p.jet_latitude) / p.jet_width) ** 2))
            for sign in (1, -1)
        )
        u = np.broadcast_to(zonal, self.grid.shape)
        vorticity, divergence = h.analyse_wind(u, np.zeros(self.grid.shape))
        target = np.stack([vorticity, 0 * divergence, 0 * divergence])
        # Balance: ∇²Φ equals the tendency of divergence without it, so that divergence stays zero.
        tendency = self._tendencies(target)[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            target[2] = np.where(self._laplacian < 0, tendency / self._laplacian, 0)
        return target

    def _tendencies(self, state: np.ndarray) -> np.ndarray:
        """Returns the explicit tendencies (3, n), which are all but the gravity-wave terms."""
        # With absolute vorticity η and wind V: ∂ζ/∂t = −∇·(ηV), ∂δ/∂t = k·∇×(ηV) − ∇²(|V|²/2),
        # ∂Φ'/∂t = −∇·(Φ'V).
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
        # The first step is a forward step: there is no previous state to leap from.
        dt = self.time_step if self._first else 2 * self.time_step
        memory = np.exp(-self.time_step / p.stirring_memory)
        noise = np.where(self._stirred, p.stirring * self._draw(), 0)
        self._stirring = memory * self._stirring + np.sqrt(1 - memory**2) * noise
        before, now = self.previous_state, self.state
        explicit = self._tendencies(now)
        explicit[0] += self._stirring
        explicit += (self.balanced_jets - before) / p.relaxation_time
        # Gravity waves, ∂δ/∂t = −∇²Φ and ∂Φ/∂t = −Φ₀ δ, are implicit: their right sides are means
        # of the previous and the next step, so that only the wind limits the time step.
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
        """Returns the present divergence and vorticity, (H, W, 2) in s⁻¹."""
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
        output: Path of the field store; its times start at 2000-01-01.
        days: Number of days to store.
        resolution: Number of rows H of the Gaussian grid, H × 2H, truncated at 2H/3.
        step: Time between stored fields, such as ``3h``.
        seed: Seed of the initial disturbance and of the stirring; the same seed gives the same
            fields.
        spin_up: Number of days simulated before the first stored field.
        threads: Number of threads of the transforms; by default one for each core.
        overwrite: Replace an existing output.

    Raises:
        InputError: An argument is out of range, or the output exists and was made with other
            options.
        WorkError: The values became infinite.
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
    recorded = options_of_fields(output) if os.path.lexists(output) else None
    if existing_outputs.already_made(output, recorded, options, overwrite):
        return
    integration = Integration(resolution, seed, threads=threads, interval=interval)
    count = int(days * DAY // interval)
    start = 946684800  # 2000-01-01
    time = TimeAxis(start + interval * np.arange(count), "proleptic_gregorian")
    spin_up_intervals = int(spin_up * DAY // interval)
    record = provenance.record(options)
    with (
        files.replacing(output) as partial,
        interruption.shielded_context(
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
                    raise WorkError(f"the simulation became unstable at {time.format(i)}.")
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
    """Raises InputError if an argument of :func:`simulate` is out of range."""
    if resolution < SMALLEST or resolution % 2:
        raise InputError(
            f"--resolution {resolution} must be an even number of rows, {SMALLEST} or more: "
            "coarser grids do not resolve the eddies."
        )
    if not days * DAY >= interval:
        raise InputError(f"--days {days:g} is less than one --step of {step}: simulate longer.")
    if seed < 0:
        raise InputError(f"--seed {seed} must be a whole number, 0 or more.")
    if threads is not None and threads < 1:
        raise InputError(f"--threads {threads} must be at least 1.")
    if not 0 <= spin_up < np.inf:
        raise InputError(f"--spin-up {spin_up:g} must be a number of days, 0 or more.")
