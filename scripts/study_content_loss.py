#!/usr/bin/env python
"""Study of content losses for super-resolution: pixel losses and the learned distance.

Simulates a shallow-water flow and trains the learned distance on it. Trains generators that differ
only in their content loss (equal steps on equal patches, several seeds), evaluates them on held-out
fields, and writes the table and figures of docs/results/content-losses.md.

The same command resumes an interrupted study. The budget in minutes covers only the training of
generators.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from phire.cli.command import Command

SCALE = 4
PHASES = (6, 2)
"""Epochs at the full learning rate and at a tenth of it, after the pretraining."""
PRETRAINING = 2
METRICS = ("scores", "spectrum", "semivariogram", "distribution", "learned", "samples")


@dataclasses.dataclass(frozen=True)
class Variant:
    """Objective of one kind of generator in the comparison.

    Attributes:
        name: Name in the table.
        content: Content of the objective; ``METRIC`` is replaced by the study's metric.
        layers: Layers of the metric to compare; by default the metric's.
        adversarial_weight: Weight of the adversarial loss; 0 trains without a discriminator.
    """

    name: str
    content: str
    layers: tuple[str, ...] | None = None
    adversarial_weight: float = 5e-3

    @property
    def slug(self) -> str:
        """Name in the form of a file name."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


VARIANTS = (
    Variant("MSE", "mse", adversarial_weight=0.0),
    Variant("MSE + adversarial", "mse"),
    Variant("MSE + 4 adversarial", "0.25*mse"),
    Variant("learned + 4 adversarial", "0.25*METRIC", ("stage1", "stage2", "stage3", "stage4")),
)
"""Variants of the study. As Adam is invariant to the scale of the loss, a quarter of the content is
equivalent to four times the adversarial weight. The learned content needs this weight; the MSE with
the same weight shows how much of the gain is due to the weight alone."""


@dataclasses.dataclass(frozen=True)
class Setup:
    """Options of the study, recorded in ``study.json``; a folder with other options is refused.

    Attributes:
        budget: Minutes of training, for all generators together.
        resolution: Rows of the simulation's grid.
        days: Simulated days to train on.
        held_out_days: Simulated days to evaluate on.
        patch: Side of the fine patches.
        network: Network of the generators.
        upsampling: Upsampling of the generators.
        batch_size: Patches in a batch.
        rate: Learning rate; the last epochs use a tenth of it.
        encoder: Encoder of the learned distance.
        layer: Encoder layer that the learned distance compares.
        pair_patch: Side of the patches that the encoder is trained on.
        pairs_per_field: Pairs per field that the encoder is trained on.
        seeds: Number of trainings of each variant.
        variants: The variants to compare.
    """

    budget: float
    resolution: int = 256
    days: int = 100
    held_out_days: int = 10
    patch: int = 96
    network: str = "srgan-small"
    upsampling: str = "resize"
    batch_size: int = 1
    rate: float = 1e-4
    encoder: str = "tiny"
    layer: str = "stage4"
    pair_patch: int = 32
    pairs_per_field: int = 40
    seeds: int = 3
    variants: tuple[Variant, ...] = VARIANTS

    def times(self, part: str) -> str:
        """Returns START,STOP of ``training``, ``validation`` or ``held out``, five days apart."""
        import numpy as np

        first = np.datetime64("2000-01-01")
        stops = {"training": self.days, "validation": self.days + 10}
        stops["held out"] = stops["validation"] + 5 + self.held_out_days
        starts = {"training": 0, "validation": self.days + 5, "held out": self.days + 15}
        return f"{first + starts[part]},{first + stops[part]}"


def prepare(setup: Setup, folder: Path) -> None:
    """Makes the simulation, the learned distance and the validation records."""
    from phire.fields.shallow_water import simulate
    from phire.records import write_downscaling_records, write_pair_records
    from phire.rplearn import evaluate_representation, train_representation

    store = folder / "simulation.h5"
    days = setup.days + 15 + setup.held_out_days
    simulate(store, days=days, resolution=setup.resolution, step="3h", seed=0)
    pairs = {
        "patch": (setup.pair_patch, setup.pair_patch), "classes": 8, "latitudes": (-70, 70),
        "patches_per_field": setup.pairs_per_field,
    }  # fmt: skip
    write_pair_records(store, folder / "pairs", time=setup.times("training"), **pairs)
    write_pair_records(
        store, folder / "pairs-validation", time=setup.times("validation"),
        statistics=folder / "pairs", seed=1, **pairs,
    )  # fmt: skip
    train_representation(
        folder / "pairs", run=folder / "representation", validation=folder / "pairs-validation",
        network=setup.encoder,
    )  # fmt: skip
    evaluate_representation(
        folder / "representation", records=folder / "pairs-validation",
        output=folder / "metric", layer=setup.layer,
    )  # fmt: skip
    for name, part, patches in (("probe", "validation", 4), ("validation", "validation", 2)):
        write_downscaling_records(
            store, folder / f"patches-{name}", patch=(setup.patch, setup.patch), scale=SCALE,
            patches_per_field=patches, time=setup.times(part), statistics=folder / "pairs",
            shards=1, seed=2,
        )  # fmt: skip


def train_variant(
    setup: Setup,
    folder: Path,
    variant: Variant,
    records: Path,
    run: Path,
    *,
    seed: int = 0,
    pretrained: Path | None = None,
    epochs: Sequence[int] = PHASES,
    validation: Path | None = None,
) -> None:
    """Trains one generator."""
    from phire.downscaling import train_generator

    objective = {
        "name": "srgan" if variant.adversarial_weight else "content",
        "content": variant.content.replace("METRIC", str(folder / "metric")),
        "layers": variant.layers and list(variant.layers),
        "pretrain_epochs": 0 if pretrained is None and epochs else PRETRAINING,
        "pretrain_rate": setup.rate,
    }
    if variant.adversarial_weight:
        objective["weight"] = variant.adversarial_weight
    train_generator(
        records,
        run,
        validation=validation,
        network=setup.network,
        network_options={"upsampling": setup.upsampling},
        objective=objective,
        pretrained=pretrained,
        epochs=epochs,
        learning_rates=(setup.rate, setup.rate / 10)[: len(epochs)],
        batch_size=setup.batch_size,
        seed=seed,
    )


def patches_per_field(setup: Setup, folder: Path) -> int:
    """Computes the patches per field that use up the budget, from two timed epochs per variant."""
    from phire.training import open_run

    seconds = {}
    for variant in setup.variants:
        run = folder / "probe" / variant.slug
        records = folder / "patches-probe"
        train_variant(setup, folder, variant, records, run, epochs=(2,))
        history = open_run(run).history
        # The first epoch is not timed, because it traces the graphs.
        steps = history["step"].iloc[1] - history["step"].iloc[0]
        seconds[variant.name] = float(history["seconds"].iloc[1] / steps)
    pretraining = min(seconds.values()) * PRETRAINING
    a_step = setup.seeds * (pretraining + sum(PHASES) * sum(seconds.values()))
    steps = 60 * setup.budget / a_step
    return max(1, round(steps * setup.batch_size / (8 * setup.days)))


def train_all(setup: Setup, folder: Path, patches: int) -> dict[int, dict[str, Path]]:
    """Trains every variant with every seed; returns the runs by seed and variant."""
    from phire.records import write_downscaling_records

    records = folder / "patches"
    write_downscaling_records(
        folder / "simulation.h5", records, patch=(setup.patch, setup.patch), scale=SCALE,
        patches_per_field=patches, time=setup.times("training"), statistics=folder / "pairs",
    )  # fmt: skip
    runs: dict[int, dict[str, Path]] = {}
    for seed in range(setup.seeds):
        of_seed = folder / f"seed-{seed}"
        pretrained = of_seed / "pretrained"
        pixels = Variant("pretrained", "mse", adversarial_weight=0.0)
        train_variant(setup, folder, pixels, records, pretrained, seed=seed, epochs=())
        runs[seed] = {}
        for variant in setup.variants:
            run = of_seed / variant.slug
            train_variant(
                setup, folder, variant, records, run, seed=seed, pretrained=pretrained,
                validation=folder / "patches-validation",
            )  # fmt: skip
            runs[seed][variant.name] = run
    return runs


def evaluate_all(setup: Setup, folder: Path, runs: Mapping[int, Mapping[str, Path]]) -> list[Path]:
    """Evaluates the generators of every seed and bicubic interpolation; returns the folders."""
    from phire import provenance
    from phire.downscaling import InterpolatedSource, PredictedSource
    from phire.evaluation import evaluate
    from phire.fields import CoarsenedSource, open_store
    from phire.rplearn import LearnedMetric

    metric = LearnedMetric.load(folder / "metric")
    truth = open_store(folder / "simulation.h5")
    coarse = CoarsenedSource(truth, SCALE)
    results = []
    for seed, of_seed in runs.items():
        candidates = {"bicubic": InterpolatedSource(coarse, truth.grid, "bicubic")}
        candidates |= {name: PredictedSource(run, coarse) for name, run in of_seed.items()}
        weights = {name: run / "networks" / "generator.keras" for name, run in of_seed.items()}
        origins = {
            name: {"path": str(path), "fingerprint": provenance.fingerprint(path)}
            for name, path in weights.items()
        }
        evaluate(
            truth, candidates, folder / f"seed-{seed}" / "results", metrics=METRICS, scale=SCALE,
            times=setup.times("held out"), report=seed == 0,
            origins={"bicubic": {"spec": "bicubic"}, **origins},
            learned_distance=metric.distance,
            learned_features=lambda fields: metric.features(fields).mean(axis=(1, 2)),
        )  # fmt: skip
        results.append(folder / f"seed-{seed}" / "results")
    return results


COLUMNS = {
    "rmse": ("RMSE, vorticity", "10⁻⁶ s⁻¹", 1e6),
    "log_spectral_error": ("log-spectral error", "", 1),
    "effective_resolution": ("effective resolution", "km", 1),
    "least_ratio": ("least energy ratio", "", 1),
    "greatest_ratio": ("greatest energy ratio", "", 1),
    "semivariogram_error": ("semivariogram error", "", 1),
    "wasserstein": ("Wasserstein-1, vorticity", "10⁻⁶ s⁻¹", 1e6),
    "frechet_distance": ("Fréchet AtmoDist distance", "", 1),
}
"""Columns of the table: title, units and factor of the numbers."""


def measure(results: Path, candidate: str) -> dict[str, float]:
    """Reads the scores of a candidate.

    Returns:
        For vorticity: ``rmse`` and ``wasserstein`` (s⁻¹). For kinetic energy:
        ``log_spectral_error``, ``effective_resolution`` (km), and ``least_ratio`` and
        ``greatest_ratio`` to the truth between the cutoff of the coarse grid and the truncation of
        the truth. For all channels together: ``semivariogram_error`` (mean |ln ratio to the truth|
        at the smallest three lags) and ``frechet_distance``.
    """
    import numpy as np

    from phire.evaluation.results import result_path
    from phire.fields.result_files import read_result

    def read(metric):
        return read_result(result_path(results, candidate, metric))

    spectrum = read("spectrum")
    cutoff, truncation = (int(spectrum.attrs[name]) for name in ("cutoff_degree", "truncation"))
    ratio = spectrum["kinetic_energy_ratio"].sel(degree=slice(cutoff, truncation)).values
    variogram = read("semivariogram")["semivariogram_ratio"].dropna("lag")
    return {
        "rmse": float(read("scores")["rmse_mean"].sel(channel="vorticity")),
        "log_spectral_error": float(spectrum["kinetic_energy_log_error"]),
        "effective_resolution": float(spectrum["kinetic_energy_resolution"]),
        "least_ratio": float(ratio.min()),
        "greatest_ratio": float(ratio.max()),
        "semivariogram_error": float(np.abs(np.log(variogram[:, :3])).mean()),
        "wasserstein": float(read("distribution")["wasserstein"].sel(channel="vorticity")),
        "frechet_distance": float(read("learned")["frechet_distance"]),
    }


def write_tables(results: Sequence[Path], candidates: Sequence[str], docs: Path) -> None:
    """Writes ``scores.csv``, by candidate and seed, and ``scores.md``, mean ± half range."""
    import pandas as pd

    from phire import files

    rows = [
        {"candidate": name, "seed": seed, **measure(folder, name)}
        for seed, folder in enumerate(results)
        for name in candidates
    ]
    table = pd.DataFrame(rows)
    files.write_text(docs / "scores.csv", table.to_csv(index=False, float_format="%.6g"))
    headings = [f"{t} ({u})" if u else t for t, u, _ in COLUMNS.values()]
    lines = ["| " + " | ".join(["", *headings]) + " |", "|---" * (1 + len(COLUMNS)) + "|"]
    for name in candidates:
        cells = [name]
        for column, (_, _, factor) in COLUMNS.items():
            values = factor * table.loc[table["candidate"] == name, column]
            spread = (values.max() - values.min()) / 2
            several = f" ± {spread:.2g}" if spread > 1e-9 * abs(values.mean()) else ""
            cells.append(f"{values.mean():.3g}{several}")
        lines.append("| " + " | ".join(cells) + " |")
    files.write_text(docs / "scores.md", "\n".join(lines) + "\n")


def draw_ratios(results: Sequence[Path], candidates: Sequence[str]):
    """Draws energy and semivariance relative to the truth: mean and range over the seeds."""
    import numpy as np

    from phire.evaluation.figures.legend import legend_below
    from phire.evaluation.figures.style import candidate_styles, new_figure
    from phire.evaluation.results import result_path
    from phire.fields.result_files import read_result

    figure = new_figure(8, 3.6)
    left, right = figure.subplots(1, 2)
    styles = candidate_styles(candidates)
    for name in candidates:
        for axes, metric, variable in (
            (left, "spectrum", "kinetic_energy_ratio"),
            (right, "semivariogram", "semivariogram_ratio"),
        ):
            of_seeds = [read_result(result_path(folder, name, metric)) for folder in results]
            curves = [one[variable] for one in of_seeds]
            if metric == "spectrum":
                span = slice(1, int(of_seeds[0].attrs["truncation"]))
                curves = [curve.sel(degree=span) for curve in curves]
                axes.axvline(of_seeds[0].attrs["cutoff_degree"], color="#999999", linewidth=0.8)
            else:
                curves = [curve.sel(channel="vorticity").dropna("lag") for curve in curves]
            x = curves[0][curves[0].dims[-1]].values
            values = np.stack([curve.values for curve in curves])
            marker = styles[name].marker if metric == "semivariogram" else ""
            axes.plot(
                x,
                np.exp(np.log(values).mean(0)),
                marker=marker,
                markersize=4,
                **styles[name].line(),
            )
            axes.fill_between(
                x, values.min(0), values.max(0), color=styles[name].colour, alpha=0.2, linewidth=0
            )
    for axes, label, title in (
        (left, "degree", "kinetic energy / truth's"),
        (right, "lag (km)", "semivariance of vorticity / truth's"),
    ):
        axes.axhline(1, color="black", linewidth=1)
        axes.set(xscale="log", yscale="log", xlabel=label, title=title)
    left.set_ylim(0.02, 20)
    legend_below(figure, list(candidates), styles)
    return figure


def read_setup(path: str | None, **options: object) -> Setup:
    """Returns the setup of the command line, with variants from a YAML file (list of mappings)."""
    import yaml

    from phire.errors import InputError

    given = {name: value for name, value in options.items() if value is not None}
    if path is None:
        return Setup(**given)
    try:
        entries = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        variants = tuple(
            Variant(**{**entry, "layers": tuple(entry["layers"]) if entry.get("layers") else None})
            for entry in entries
        )
    except (OSError, TypeError, yaml.YAMLError) as error:
        raise InputError(f"--variants {path} is not a list of variants: {error}") from None
    return Setup(**given, variants=variants)


def study(setup: Setup, folder: str | os.PathLike, docs: str | os.PathLike) -> None:
    """Runs the study in ``folder``, and writes its table and figures to ``docs``."""
    from phire import existing_outputs, files
    from phire.errors import InputError
    from phire.evaluation.figures.figure_saving import save_figure
    from phire.evaluation.figures.style import styled

    folder, docs = Path(folder), Path(docs)
    plan = folder / "study.json"
    recorded = json.loads(plan.read_text(encoding="utf-8")) if plan.exists() else None
    options = files.plain(dataclasses.asdict(setup))
    found = existing_outputs.differences(recorded["setup"], options) if recorded else []
    if found:
        raise InputError(
            f"{folder} holds another study ({'; '.join(found)}): name another folder for this one."
        )
    prepare(setup, folder)
    if recorded is None:
        recorded = {"setup": options, "patches_per_field": patches_per_field(setup, folder)}
        files.write_json(plan, recorded)
    runs = train_all(setup, folder, recorded["patches_per_field"])
    results = evaluate_all(setup, folder, runs)
    candidates = ["bicubic", *(variant.name for variant in setup.variants)]
    docs.mkdir(parents=True, exist_ok=True)
    write_tables(results, candidates, docs)
    with files.replacing(docs / "ratios.png") as partial:
        whole = partial.with_suffix(".png")
        save_figure(styled(draw_ratios)(results, candidates), whole)
        os.replace(whole, partial)


@click.command(cls=Command, overwrites=False, tensorflow=True)
@click.argument("folder", type=click.Path())
@click.option(
    "--budget", type=float, required=True, help="Minutes of training, for all generators together."
)
@click.option(
    "--docs", type=click.Path(), default="docs/content_loss", help="Folder of table and figures."
)
@click.option("--variants", type=click.Path(), help="YAML list of variants to study instead.")
@click.option("--resolution", type=int, help="Rows of the simulation's grid.  [default: 256]")
@click.option("--days", type=int, help="Days to train on.  [default: 100]")
@click.option("--held-out-days", type=int, help="Days to evaluate on.  [default: 10]")
@click.option("--patch", type=int, help="Side of the fine patches.  [default: 96]")
@click.option("--network", help="Network of the generators.  [default: srgan-small]")
@click.option("--upsampling", help="Upsampling of the generators.  [default: resize]")
@click.option("--batch-size", type=int, help="Patches in a batch.  [default: 1]")
@click.option("--rate", type=float, help="Learning rate.  [default: 1e-4]")
@click.option("--encoder", help="Encoder of the learned distance.  [default: tiny]")
@click.option("--layer", help="Encoder layer to compare.  [default: stage4]")
@click.option("--pair-patch", type=int, help="Side of the encoder's patches.  [default: 32]")
@click.option("--pairs-per-field", type=int, help="Encoder's pairs per field.  [default: 40]")
@click.option("--seeds", type=int, help="Number of seeds.  [default: 3]")
def main(folder, docs, variants, **options):
    """Compare content losses in FOLDER."""
    study(read_setup(variants, **options), folder, docs)


if __name__ == "__main__":
    main()
