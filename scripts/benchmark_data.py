#!/usr/bin/env python
"""Measures how fast records are written and read.

Writes a store of random smooth fields (Blosc-lz4, one field per chunk). Prints the floor (reading
every field once with h5py, and writing as many bytes as the records hold to one file). Then prints
records per second, MB/s, peak memory and the ratio to the floor for rplearn-data and phire-data.
Finally prints the rate at which records are read as tf.data, and that of a bare TFRecordDataset.

Every measurement runs in a separate process, so that peak memory is measured separately. On a
shared machine, core-seconds (processor time of all threads) are more reliable than wall time.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

PAIRS = {"patch": (160, 160), "patches_per_field": 20, "classes": 31}
PATCHES = {"patch": (96, 96), "scale": 4, "patches_per_field": 20}


def make_store(path: Path, fields: int, rows: int) -> None:
    """Writes a store of random divergence and vorticity, about as smooth as ERA5."""
    import numpy as np

    from phire.fields.grid import Grid
    from phire.fields.store_writing import StoreWriter
    from phire.fields.time_axis import TimeAxis

    grid = Grid.driscoll_healy(rows)
    random = np.random.default_rng(0)
    wavenumber = np.hypot(np.fft.fftfreq(rows)[:, None] * rows, np.fft.rfftfreq(2 * rows) * rows)
    # The kinetic energy of this vorticity falls as k^-3, down to white noise of 2 %.
    slope = 1 / np.maximum(wavenumber, 8) ** 1.0
    with StoreWriter(
        path,
        channels=("divergence", "vorticity"),
        units=("s**-1", "s**-1"),
        grid=grid,
        time=TimeAxis(np.arange(fields) * 10800, "standard"),
    ) as writer:
        for _ in range(fields):
            field = np.empty((1, *grid.shape, 2), np.float32)
            for channel in range(2):
                noise = np.fft.irfft2(np.fft.rfft2(random.normal(size=grid.shape)) * slope)
                field[0, ..., channel] = noise / noise.std() * (3e-5, 5e-5)[channel]
            writer.append(field)


class Clock:
    """Wall time and processor time since the clock was created."""

    def __init__(self) -> None:
        self.begun, self.cores_begun = time.perf_counter(), time.process_time()

    def read(self) -> dict:
        """Returns ``seconds`` (wall time) and ``cores`` (processor time of all threads)."""
        return {
            "seconds": time.perf_counter() - self.begun,
            "cores": time.process_time() - self.cores_begun,
        }


def floor(store: str, size: int, output: str) -> dict:
    """Reads every field once with h5py, then writes ``size`` bytes to one file."""
    import h5py
    import hdf5plugin  # noqa: F401  registers Blosc
    import numpy as np

    block = np.random.default_rng(0).bytes(410_000)
    clock = Clock()
    with h5py.File(store) as file:
        data = file["data"]
        for field in range(data.shape[1]):
            data[:, field]
    read = clock.read()["seconds"]
    with open(output, "wb", buffering=0) as stream:
        left = size
        while left > 0:
            left -= stream.write(block[:left])
    result = clock.read()
    os.remove(output)
    return {**result, "read": read}


def make(kind: str, store: str, output: str, options: dict) -> dict:
    """Writes records of one kind."""
    from phire import files, progress
    from phire.records import Manifest, write_downscaling_records, write_pair_records

    function = write_pair_records if kind == "pairs" else write_downscaling_records
    files.remove(output)
    clock = Clock()
    with progress.quiet():
        function(store, output, **options)
    return {**clock.read(), "count": Manifest.load(output).count}


def statistics(store: str, output: str) -> dict:
    """Fits the statistics of log1p normalization."""
    from phire.fields.normalization_fit import fit_normalization
    from phire.fields.store import open_store

    begun = time.perf_counter()
    with open_store(store) as source:
        fit_normalization(source, kind="log1p").save(output)
    return {"seconds": time.perf_counter() - begun}


def zlib_reference(directory: str, pairs: int) -> dict:
    """Writes pairs with zlib level 6 in one process, as AtmoDist does."""
    import tensorflow as tf

    from phire.records import Manifest

    names = [str(Path(directory) / name) for name in Manifest.load(directory).shards]
    records = list(tf.data.TFRecordDataset(names).take(pairs).as_numpy_iterator())
    options = tf.io.TFRecordOptions(compression_type="ZLIB", compression_level=6)
    begun = time.perf_counter()
    with tf.io.TFRecordWriter(directory + ".reference", options) as writer:
        for record in records:
            writer.write(record)
    seconds = time.perf_counter() - begun
    os.remove(directory + ".reference")
    return {"seconds": seconds, "count": len(records)}


def read_back(directory: str, batch_size: int) -> dict:
    """Reads records as tf.data (decoded, shuffled, batched) and as a bare TFRecordDataset."""
    import tensorflow as tf

    from phire.records import Manifest, open_records

    names = [str(Path(directory) / name) for name in Manifest.load(directory).shards]

    def bare() -> float:
        begun = time.perf_counter()
        tf.data.TFRecordDataset(names).reduce(
            tf.constant(0), lambda n, record: n + tf.strings.length(record)
        ).numpy()
        return time.perf_counter() - begun

    def decoded(epoch: int) -> float:
        records = open_records(directory)
        begun = time.perf_counter()
        for _ in records.dataset(batch_size, seed=0, epoch=epoch, drop_remainder=False):
            pass
        return time.perf_counter() - begun

    bare(), decoded(0)
    turns = [(bare(), decoded(epoch)) for epoch in range(1, 4)]
    return {"bare": min(t[0] for t in turns), "decoded": min(t[1] for t in turns)}


def run(function: str, **arguments: object) -> dict:
    """Calls a function of this file in a new process; returns its result and peak memory (GB)."""
    code = f"import benchmark_data as b; b.answer({function!r}, {json.dumps(arguments)!r})"
    # The directory of this file must come first, so that the new process can import it.
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise click.ClickException(f"{function} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def answer(function: str, arguments: str) -> None:
    """Calls a function; prints its result and the peak memory of this process as JSON."""
    result = globals()[function](**json.loads(arguments))
    result["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps(result))


def line(name: str, result: dict, size: int, base: dict | None = None) -> None:
    """Prints one measurement."""
    seconds, count = result["seconds"], result["count"]
    text = f"{name:34} {seconds:7.2f} s {count / seconds:8.0f} records/s"
    text += f" {size / seconds / 1e6:7.0f} MB/s {result['memory']:6.2f} GB"
    text += f" {result['cores']:6.2f} core-seconds"
    if base is not None:
        text += f"; {seconds / base['seconds']:.2f} × floor in time"
        text += f", {result['cores'] / base['cores']:.2f} × in core-seconds"
    print(text, flush=True)


@click.command()
@click.option("--fields", default=96, show_default=True, help="Number of fields in the store.")
@click.option("--rows", default=640, show_default=True, help="Rows H of the grid, H × 2H.")
@click.option("--workers", type=int, help="Number of processes.  [default: threads]")
@click.option("--repeat", default=3, show_default=True, help="Repetitions; the fastest counts.")
@click.option("--directory", type=click.Path(), help="Working directory.  [default: temporary]")
def main(fields: int, rows: int, workers: int | None, repeat: int, directory: str | None) -> None:
    """Measure how fast records are written and read."""
    with tempfile.TemporaryDirectory(dir=directory, prefix="benchmark-") as folder:
        measure(Path(folder), fields, rows, workers, repeat)


def measure(folder: Path, fields: int, rows: int, workers: int | None, repeat: int) -> None:
    """Runs and prints all measurements."""
    store = str(folder / "store.h5")
    make_store(Path(store), fields, rows)
    print(
        f"{fields} fields of 2 × {rows} × {2 * rows}, {os.path.getsize(store) / 1e6:.0f} MB stored"
    )

    def best(function: str, **arguments: object) -> dict:
        turns = [run(function, **arguments) for _ in range(repeat)]
        return min(turns, key=lambda turn: turn["seconds"])

    fitted = str(folder / "statistics.json")
    result = best("statistics", store=store, output=fitted)
    print(f"{'statistics (log1p)':34} {result['seconds']:7.2f} s {result['memory']:36.2f} GB")
    for kind, options in (("pairs", PAIRS), ("downscaling", PATCHES)):
        command = "rplearn-data" if kind == "pairs" else "phire-data"
        options = {**options, "workers": workers, "statistics": fitted}
        made = {}
        variants = [("none", "float32"), ("none", "float16"), ("zlib", "float32")]
        if kind == "downscaling":
            variants = variants[:1]
        for compression, dtype in variants:
            output = str(folder / kind)
            given = {**options, "compression": compression, "dtype": dtype}
            result = best("make", kind=kind, store=store, output=output, options=given)
            size = sum(path.stat().st_size for path in Path(output).iterdir())
            base = None
            if compression == "none":
                base = best("floor", store=store, size=size, output=str(folder / "floor"))
                text = f"floor ({base['read']:.2f} s to read)"
                print(
                    f"{text:34} {base['seconds']:7.2f} s {size / 1e6:8.0f} MB to write "
                    f"{base['cores']:.2f} core-seconds"
                )
            line(f"{command} {compression} {dtype}", result, size, base)
            made[compression, dtype] = result
            if (compression, dtype) == ("none", "float32"):
                whole = best("make", kind=kind, store=store, output=output,
                             options={**given, "statistics": None})  # fmt: skip
                line(f"{command} with statistics fitted", whole, size, base)
                if kind == "pairs":
                    reference = run("zlib_reference", directory=output, pairs=100)
                rates = run("read_back", directory=output, batch_size=64)
                print(
                    f"{'reading ' + kind:34} bare {size / rates['bare'] / 1e6:6.0f} MB/s, decoded, "
                    f"shuffled, batched {size / rates['decoded'] / 1e6:6.0f} MB/s "
                    f"({rates['bare'] / rates['decoded']:.2f} of bare)",
                    flush=True,
                )
        if kind == "pairs":
            slow = reference["count"] / reference["seconds"]
            fast = made["zlib", "float32"]
            rate = fast["count"] / fast["seconds"]
            print(
                f"{'zlib level 6, one process':34} {slow:.0f} records/s; rplearn-data writes "
                f"{rate / slow:.1f} times as many"
            )


if __name__ == "__main__":
    main()
