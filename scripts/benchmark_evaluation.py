#!/usr/bin/env python
"""Times the statistics of an evaluation on fields of the size of ERA5 at 0.14 degrees.

    scripts/benchmark_evaluation.py [--rows 1280] [--repeat 3] [--threads 2] [--pyspharm]
                                    [--members 16 [--side 512] [--times 24] [--rain]]

The fields are random with a red spectrum, on the Driscoll–Healy grid with twice as many columns as
rows. Times are the smallest of the repetitions, in seconds per field of two channels, for truth and
candidate together. Transforms that statistics share are counted at the first one that needs them.

With --members, an ensemble is timed instead, on one channel of regional fields of SIDE × SIDE
points. Four fields are held in memory and read in turn for all TIMES. The script then prints the
times of the default set for an ensemble and for a single field, of each statistic of both, and of
computing the results; peak memory; and the times of CRPS and ranks in phire and the packages
scoringrules and scores. With --rain, the channel is precipitation with thresholds of 1, 5 and 20
mm, and the log-spectral distance is added. With --pyspharm, pyspharm with stored Legendre functions
is timed, too, on the Gaussian grid; at full size this takes minutes and 13 GB.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import time
from collections.abc import Mapping

import numpy as np
from scipy.ndimage import gaussian_filter
from threadpoolctl import threadpool_limits

from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.catalogue import default_names, statistics
from phire.evaluation.chunks import Task, Work, accumulate, measure_chunk, with_candidate
from phire.evaluation.domain import Domain
from phire.evaluation.setting import Setting
from phire.evaluation.truth_moments import MeanMap, TruthMomentsStatistic
from phire.fields.grid import Grid
from phire.fields.harmonics import SphericalHarmonics
from phire.fields.source import ArraySource
from phire.fields.time_axis import TimeAxis

CHANNELS = ("vorticity", "divergence")
FIELD_TIMES = 32
"""Times of a single field, which an ensemble of more is compared with."""


def random_fields(grid: Grid, seed: int, threads: int) -> np.ndarray:
    """Returns fields (1, H, W, 2) float32 whose variance falls as degree⁻³."""
    harmonics = SphericalHarmonics(grid, threads=threads)
    random = np.random.default_rng(seed)
    shape = (2, len(harmonics.degrees))
    coefficients = random.normal(size=shape) + 1j * random.normal(size=shape)
    coefficients[:, harmonics.orders == 0] = coefficients[:, harmonics.orders == 0].real
    coefficients *= 1e-5 / (1.0 + harmonics.degrees) ** 2
    return np.moveaxis(harmonics.synthesise(coefficients), 0, -1)[None].astype(np.float32)


def smallest(repeat: int, function, clock=time.perf_counter) -> float:
    """Returns the shortest time of several runs, in seconds."""
    times = []
    for _ in range(repeat):
        begun = clock()
        function()
        times.append(clock() - begun)
    return min(times)


def prepared(truth: np.ndarray, grid: Grid, threads: int) -> Setting:
    """Returns the setting of an evaluation of the truth."""
    setting = Setting(Domain.whole(grid), CHANNELS, ("s**-1",) * 2, TimeAxis.steps(1), scale=4,
                      threads=threads)  # fmt: skip
    batch = Batch(truth, np.array([0]))
    truth_moments = TruthMomentsStatistic(setting)
    mean = MeanMap(setting).result(MeanMap(setting).measure(batch))["mean"].values[None]
    return dataclasses.replace(
        setting,
        truth_moments=dataclasses.replace(
            truth_moments.truth_moments(truth_moments.measure(batch)),
            climatology=0.9 * mean.astype(np.float32),
            groups=np.zeros(1, dtype=np.int64),
        ),
    )


def whole_set(setting: Setting, truth: np.ndarray, candidate: np.ndarray) -> dict[str, float]:
    """Times each statistic of the default set, in the order of an evaluation, in seconds."""
    takers = {
        name: statistics()[name](setting)
        for name in default_names()
        if statistics()[name].ensemble != "all" and statistics()[name].refusal(setting) is None
    }
    states = {}
    seconds = {}
    for field in range(2):  # only the second field counts; the first one fills caches and plans
        times = np.array([0])
        begun = time.perf_counter()
        batches = Batch(truth, times), Batch(candidate, times)
        seconds["arrange in memory"] = time.perf_counter() - begun
        for name, taker in takers.items():
            begun = time.perf_counter()
            if taker.of_truth:
                key = (name, "truth")
                states[key] = taker.update(states.get(key, {}), batches[0])
            states[name] = taker.update(states.get(name, {}), *batches)
            seconds[name] = time.perf_counter() - begun
        del field
    return seconds


class RepeatedSource:
    """Source that repeats a few random fields, so that a long series needs little memory.

    Args:
        fields: (k, H, W) fields, or (k, M, H, W) for an ensemble of M members.
        grid: The grid of the fields.
        times: Number of times of the source.
        rain: True for a channel of precipitation in mm, False for temperature.
    """

    def __init__(self, fields: np.ndarray, grid: Grid, times: int, rain: bool = False) -> None:
        self.channels, self.units = (("precip",), ("mm",)) if rain else (("t",), ("K",))
        self.fields = fields[..., None]
        self.grid, self.time = grid, TimeAxis.steps(times)
        self.members = fields.shape[1] if fields.ndim == 4 else 0

    def read_members(self, times: np.ndarray) -> np.ndarray:
        """Reads fields of all members."""
        return self.fields[times % len(self.fields)]

    def read(self, times: np.ndarray) -> np.ndarray:
        """Reads fields, or means of the members."""
        read = self.read_members(times)
        return read.mean(1) if self.members else read


def ensemble_setting(truth: RepeatedSource, threads: int) -> Setting:
    """Returns the setting of an evaluation of the first fields of the truth."""
    setting = Setting(
        Domain.whole(truth.grid), truth.channels, truth.units, truth.time, scale=4, threads=threads,
        thresholds={"precip": (1.0, 5.0, 20.0)} if truth.channels == ("precip",) else {},
    )  # fmt: skip
    batch = Batch(truth.fields, np.arange(len(truth.fields)))
    truth_moments, mean = TruthMomentsStatistic(setting), MeanMap(setting)
    climatology = mean.result(mean.measure(batch))["mean"].values[None].astype(np.float32)
    found = dataclasses.replace(
        truth_moments.truth_moments(truth_moments.measure(batch)),
        climatology=climatology,
        groups=np.zeros(len(truth.time), np.int64),
    )
    return dataclasses.replace(setting, truth_moments=found)


def random_ensemble(members: int, side: int, rain: bool) -> np.ndarray:
    """Returns four times (4, members + 1, side, side) of independent fields, the truth first.

    The fields are white noise, or with ``rain`` showers about ten points wide that leave two thirds
    of the area dry.
    """
    random = np.random.default_rng(0)
    fields = random.normal(size=(4, members + 1, side, side)).astype(np.float32)
    if not rain:
        return fields
    smooth = gaussian_filter(fields, 4, axes=(2, 3))
    return 10 * np.maximum(smooth / smooth.std() - 0.4, 0) ** 1.5


def set_names(setting: Setting, members: bool) -> list[str]:
    """Returns the names of the default statistics; for rain also the log-spectral distance."""
    names = [*default_names(), *(["log_spectral_distance"] if setting.thresholds else [])]
    return [
        name
        for name in names
        if statistics()[name].refusal(setting) is None
        and (members or statistics()[name].ensemble != "all")
    ]


def time_ensemble(members: int, side: int, threads: int, times: int, rain: bool) -> None:
    """Prints processor seconds per time, for the default set of an ensemble, CRPS and ranks."""
    grid = Grid.regional(np.linspace(60, 40, side), np.linspace(0, 20, side))
    fields = random_ensemble(members, side, rain)
    candidates = {
        "ensemble": RepeatedSource(fields[:, 1:], grid, times, rain),
        "field": RepeatedSource(fields[:, 1], grid, min(times, FIELD_TIMES), rain),
    }
    seconds = {}
    for kind, source in candidates.items():
        truth = RepeatedSource(fields[:, 0], grid, len(source.time), rain)
        setting = ensemble_setting(truth, threads)
        takers = [statistics()[name](setting) for name in set_names(setting, bool(source.members))]
        work = Work(truth, {kind: source}, tuple(Task(t.name, t, kind) for t in takers))
        measure_chunk(work, np.arange(2))
        begun = time.process_time()
        states = accumulate(work, chunk=32)
        measured = time.process_time()
        seconds[kind] = (measured - begun) / len(source.time)
        for taker in takers:
            taker.described(states[taker.name])
        print(f"default set of one {kind:10} {seconds[kind]:8.3f} s of processor time a time, "
              f"results {time.process_time() - measured:.1f} s", flush=True)  # fmt: skip
        if kind == "ensemble":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"  peak memory of {times} times: {peak:.0f} MB, {fields.nbytes / 2**20:.0f} of "
                  "them the input   (goal 2000)", flush=True)  # fmt: skip
    ratio = seconds["ensemble"] / seconds["field"]
    print(f"  an ensemble of {members} is {ratio:.1f} times a field   (goal 4)")
    time_each(candidates, setting, truth)
    time_crps(fields, setting)


def time_each(
    candidates: Mapping[str, RepeatedSource], setting: Setting, truth: RepeatedSource
) -> None:
    """Prints processor milliseconds per time of each statistic, for a field and an ensemble.

    Shared computations are counted at the first statistic that needs them.
    """
    spent: dict[str, dict[str, float]] = {}
    for k in range(4):  # the first time fills caches and plans
        place = np.array([k])
        reference = Batch(truth.read(place), place)
        for kind, source in candidates.items():
            read = source.read_members(place)
            batch = Ensemble(read, place) if source.members else Batch(read, place)
            for name in set_names(setting, members=True):
                one = statistics()[name](setting)
                begun = time.process_time()
                with_candidate(one, {}, reference, batch)
                used = (time.process_time() - begun) / 3 if k else 0.0
                row = spent.setdefault(name, {})
                row[kind] = row.get(kind, 0.0) + used
    print(f"  {'milliseconds a time':30} {'field':>8} {'ensemble':>8}")
    for name, row in sorted(spent.items(), key=lambda item: -item[1]["ensemble"]):
        print(f"  {name:30} {1e3 * row['field']:8.1f} {1e3 * row['ensemble']:8.1f}")


def time_crps(fields: np.ndarray, setting: Setting) -> None:
    """Prints the processor time of CRPS and ranks, here and in scoringrules and scores."""
    import scoringrules
    import xarray as xr
    from scores.plotdata import rank_histogram

    taker = statistics()["ensemble"](setting)
    observed = fields[:, 0]
    members = np.ascontiguousarray(np.moveaxis(fields[:, 1:], 1, -1))
    dimensions = ("time", "y", "x", "member")
    arrays = xr.DataArray(members, dims=dimensions), xr.DataArray(observed, dims=dimensions[:3])

    def ours() -> None:
        for k in range(len(fields)):
            place = np.array([k])
            own = Ensemble(fields[place, 1:, ..., None], place)
            taker.measure(Batch(observed[place, ..., None], place), own)

    for name, function in (
        ("phire: CRPS plain and fair, spread, error, ranks", ours),
        ("scoringrules: fair CRPS", lambda: scoringrules.crps_ensemble(
            observed, members, estimator="fair")),
        ("scores: rank histogram", lambda: rank_histogram(*arrays, "member")),
    ):  # fmt: skip
        function()
        seconds = smallest(5, function, time.process_time) / len(fields)
        print(f"{name:52} {seconds:8.3f} s a time")


def time_spectra(setting: Setting, truth: np.ndarray, repeat: int) -> float:
    """Prints and returns the seconds of a field's spectra; prints the peak memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    spectra = statistics()["spectrum"](setting)
    seconds = smallest(repeat, lambda: spectra.measure(Batch(truth, np.array([0])), None))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"spectra (kinetic energy and both channels)    {seconds:8.3f} s   (goal 0.15)")
    print(f"  peak memory of the process                  {peak:8.0f} MB  ({before:.0f} before)")
    return seconds


def time_semivariograms(setting: Setting, truth: np.ndarray, repeat: int) -> None:
    """Prints the seconds of a field's semivariogram, without and with directions."""
    pairs = statistics()["semivariogram"](setting)
    isotropic = statistics()["semivariogram"](dataclasses.replace(setting, directional=False))
    for name, statistic in (("isotropic", isotropic), ("with both directions", pairs)):
        # A batch caches its results, so each batch can be measured only once.
        batches = iter([Batch(truth, np.array([0])) for _ in range(3 * repeat)])
        seconds = smallest(
            3 * repeat,
            lambda statistic=statistic, batches=batches: statistic.measure(next(batches), None),
        )
        print(f"semivariogram, 300 pairs x 7 lags, {name:20} {seconds:.4f} s"
              + ("   (goal 0.02)" if name == "isotropic" else ""))  # fmt: skip


def default_set_work(
    setting: Setting, truth: np.ndarray, candidate: np.ndarray, names: list[str]
) -> Work:
    """Returns the tasks of an evaluation of six fields by the given statistics."""
    source = ArraySource(np.repeat(truth, 6, 0), channels=CHANNELS, grid=setting.domain.grid)
    other = ArraySource(np.repeat(candidate, 6, 0), channels=CHANNELS, grid=setting.domain.grid)
    setting = dataclasses.replace(setting, time=source.time, truth_moments=dataclasses.replace(
        setting.truth_moments, groups=np.zeros(6, dtype=np.int64)))  # fmt: skip
    tasks = []
    for name in names:
        statistic = statistics()[name](setting)
        tasks.append(Task(name, statistic, "candidate"))
        if statistic.of_truth:
            tasks.append(Task((name, "truth"), statistic, None))
    return Work(source, {"candidate": other}, tuple(tasks))


def time_default_set(
    setting: Setting, truth: np.ndarray, candidate: np.ndarray, repeat: int
) -> None:
    """Prints the seconds per field of the default set, and the share of each statistic."""
    runs = [whole_set(setting, truth, candidate) for _ in range(repeat)]
    seconds = {name: min(run[name] for run in runs) for name in runs[0]}
    total = sum(seconds.values())
    names = [name for name in seconds if name in statistics()]
    work = default_set_work(setting, truth, candidate, names)
    # The difference between two lengths is the cost per field without the start-up. On a busy
    # machine, processor time is more reliable than wall time.
    begun = time.process_time()
    measure_chunk(work, np.arange(2))
    used = time.process_time()
    measure_chunk(work, np.arange(6))
    processor = (time.process_time() - used - (used - begun)) / 4
    lengths = [smallest(repeat, lambda n=n: measure_chunk(work, np.arange(n))) for n in (2, 6)]
    wall = (lengths[1] - lengths[0]) / 4
    print(f"default set, truth and one candidate          {wall:8.3f} s   (goal 1.5)")
    print(f"  processor time, all threads                 {processor:8.3f} s")
    print(f"  one statistic after another                 {total:8.3f} s")
    for name, value in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"  {name:30} {value:8.3f} s  {100 * value / total:5.1f} %")


def time_pyspharm(rows: int, threads: int, spectra_seconds: float) -> None:
    """Prints the seconds of pyspharm with stored Legendre functions on a Gaussian grid."""
    import spharm

    fields = random_fields(Grid.gaussian(rows), 0, threads)[0]
    # phire's own engine does not store them on large grids, to save memory.
    begun = time.perf_counter()
    classic = spharm.Spharmt(2 * rows, rows, gridtype="gaussian", legfunc="stored")
    classic.grdtospec(fields[..., 0])
    first = time.perf_counter() - begun
    later = smallest(1, lambda: [classic.grdtospec(fields[..., c]) for c in range(2)])
    print(f"pyspharm: {first:.1f} s to begin, {later:.2f} s a field of two channels, "
          f"{later / spectra_seconds:.0f} times as long")  # fmt: skip


def main() -> None:
    """Runs the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1280)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pyspharm", action="store_true")
    parser.add_argument("--members", type=int, default=0)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--times", type=int, default=24)
    parser.add_argument("--rain", action="store_true")
    options = parser.parse_args()
    if options.members:
        with threadpool_limits(options.threads, user_api="blas"):
            time_ensemble(
                options.members, options.side, options.threads, options.times, options.rain
            )
        return
    grid = Grid.driscoll_healy(options.rows)
    print(f"fields of two channels, {grid.describe()}, {options.threads} threads")
    truth = random_fields(grid, 0, options.threads)
    candidate = (0.9 * truth + 0.1 * random_fields(grid, 1, options.threads)).astype(np.float32)
    setting = prepared(truth, grid, options.threads)
    spectra_seconds = time_spectra(setting, truth, options.repeat)
    time_semivariograms(setting, truth, options.repeat)
    time_default_set(setting, truth, candidate, options.repeat)
    if options.pyspharm:
        time_pyspharm(options.rows, options.threads, spectra_seconds)


if __name__ == "__main__":
    main()
