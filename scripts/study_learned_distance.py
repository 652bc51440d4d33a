#!/usr/bin/env python
"""Study of the learned distance by time lag, compared with pixel measures, and of its features.

Simulates a shallow-water flow and trains the learned distance on it with several seeds. Chooses the
epochs on a validation period, and measures on a test period the accuracy of the predicted lag and
the growth of the distances with the lag, up to three times the largest lag of the training. Then
predicts the jet latitudes of another simulation from the features. Writes the tables and the figure
of docs/results/learned-distance.md.

The same command resumes an interrupted study.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from phire.cli.command import Command

MEASURES = {
    "stage4": "learned, stage 4",
    "stage3": "learned, stage 3",
    "stage2": "learned, stage 2",
    "stage1": "learned, stage 1",
    "untrained": "stage 4, untrained",
    "l2": "mean squared difference",
    "l1": "mean absolute difference",
    "ssim": "(1 − SSIM)/2",
    "psnr": "50 − PSNR",
}
"""Distances to compare, in the order of the tables."""
DRAWN = ("stage4", "untrained", "l2", "ssim")
PROBE_DAYS = 365
"""Days of the simulation whose jet latitudes are predicted."""
PROBE_SECTORS = 6
"""Number of sectors of 60°. The forcing does not depend on longitude, so all sectors have the same
statistics."""
PROBE_BANDS = {"northern jet": (15.0, 75.0), "southern jet": (-75.0, -15.0)}
PROBED_LAYERS = ("stage1", "stage4")
PROBED = {
    "learned stage1": "learned, stage 1",
    "random stage1": "stage 1, untrained",
    "learned stage4": "learned, stage 4",
    "random stage4": "stage 4, untrained",
    "pca": "principal components of the fields",
    "rows": "row means of the fields",
    "mean": "training mean",
}


@dataclasses.dataclass(frozen=True)
class Setup:
    """Options of the study, recorded in ``study.json``; a folder with other options is refused.

    Attributes:
        resolution: Rows of the simulation's grid.
        days: Simulated days of training, validation and test together, with the gaps between them.
        validation_days: Days of the validation period, by which the epoch is chosen.
        test_days: Days of the test period.
        gap: Days left out between two periods.
        patch: Side of the patches.
        classes: Number of lags, in steps of 3 hours.
        far: Largest lag of the test pairs, as a multiple of the largest lag of the training.
        pairs_per_field: Pairs per field to train on.
        held_out_pairs: Pairs per field to validate and to test on.
        network: Name of the encoder.
        epochs: Epochs at the learning rate of the recipe.
        cool_down_epochs: Epochs at a tenth of the learning rate.
        seeds: Number of trainings.
    """

    resolution: int = 128
    days: int = 230
    validation_days: int = 15
    test_days: int = 25
    gap: int = 5
    patch: int = 32
    classes: int = 8
    far: int = 3
    pairs_per_field: int = 40
    held_out_pairs: int = 40
    network: str = "tiny"
    epochs: int = 2
    cool_down_epochs: int = 1
    seeds: int = 3

    def times(self, part: str) -> str:
        """Returns START,STOP of ``training``, ``validation`` or ``test``."""
        import numpy as np

        test = self.days - self.test_days
        validation = test - self.gap - self.validation_days
        spans = {
            "training": (0, validation - self.gap),
            "validation": (validation, test - self.gap),
            "test": (test, self.days),
        }
        first = np.datetime64("2000-01-01")
        start, stop = spans[part]
        return f"{first + start},{first + stop}"


def prepare(setup: Setup, folder: Path) -> None:
    """Makes the simulation and the pair records of all periods."""
    from phire.fields.shallow_water import simulate
    from phire.records import write_pair_records

    store = folder / "simulation.h5"
    simulate(store, days=setup.days, resolution=setup.resolution, step="3h", seed=0)
    far = setup.far * setup.classes
    for seed, (name, part, number, classes) in enumerate(
        (
            ("pairs", "training", setup.pairs_per_field, setup.classes),
            ("pairs-validation", "validation", setup.held_out_pairs, setup.classes),
            ("pairs-test", "test", setup.held_out_pairs, setup.classes),
            ("pairs-far", "test", setup.held_out_pairs, far),
        )
    ):
        write_pair_records(
            store, folder / name, time=setup.times(part), patch=(setup.patch, setup.patch),
            classes=classes, latitudes=(-70, 70), patches_per_field=number, seed=seed,
            statistics=None if part == "training" else folder / "pairs",
        )  # fmt: skip


def train_seed(setup: Setup, folder: Path, seed: int) -> Path:
    """Trains a network, and exports the best epoch in the validation period as a metric."""
    from phire.rplearn import evaluate_representation, train_representation

    of_seed = folder / f"seed-{seed}"
    train_representation(
        folder / "pairs", run=of_seed / "run", validation=folder / "pairs-validation",
        network=setup.network, epochs=setup.epochs, cool_down_epochs=setup.cool_down_epochs,
        seed=seed,
    )  # fmt: skip
    evaluate_representation(
        of_seed / "run", records=folder / "pairs-validation", output=of_seed / "metric"
    )
    return of_seed


def measure_pairs(setup: Setup, folder: Path, seed: int):
    """Evaluates the chosen epoch on the test pairs; writes ``seed-N/test.nc``.

    Returns:
        Over ``measure``: ``spearman`` and ``upper_rise`` over the lags of the training,
        ``spearman_far`` and ``upper_rise_far`` over all lags; ``mean`` and ``std`` (measure, lag)
        over all lags. Scalars: ``accuracy``, ``top_3_accuracy``, ``cross_entropy``,
        ``expected_calibration_error``, ``mean_lag_error`` (steps) and ``epoch``.
    """
    import keras
    import xarray as xr

    from phire.fields.result_files import read_result, result_already_made, write_result
    from phire.records import open_records
    from phire.rplearn.comparison import comparison_row
    from phire.rplearn.pair_scores import Pairs, evaluate_network, evaluate_pixels
    from phire.rplearn.trained_representation import Representation

    path = folder / f"seed-{seed}" / "test.nc"
    run = Representation(folder / f"seed-{seed}" / "run")
    epoch = run.chosen_epoch("best")
    options = {"epoch": epoch, **dataclasses.asdict(setup)}
    if result_already_made(path, options, False):
        return read_result(path)
    network = run.network(epoch)
    keras.utils.set_random_seed(seed)
    untrained = keras.models.clone_model(network)

    parts = {}
    for name, classes in (("test", setup.classes), ("far", setup.far * setup.classes)):
        records = open_records(folder / f"pairs-{name}")
        pairs = Pairs(records, run.normalization, classes, 128, None)
        pixels = evaluate_pixels(pairs)
        learned = evaluate_network(
            network if name == "test" else _distances(network), pairs, pixels
        )
        random = evaluate_network(_distances(untrained), pairs, pixels).sel(layer=["stage4"])
        of_layers = [
            learned[["feature_distance_mean", "feature_distance_std", "spearman", "upper_rise"]],
            random[["feature_distance_mean", "feature_distance_std", "spearman", "upper_rise"]],
        ]
        of_layers[1] = of_layers[1].assign_coords(layer=["untrained"])
        renamed = [
            one.rename(layer="measure", feature_distance_mean="mean", feature_distance_std="std")
            for one in of_layers
        ]
        pixels = pixels[["mean", "std", "spearman", "upper_rise"]]
        parts[name] = xr.concat([*renamed, pixels], "measure"), learned
    near, far = parts["test"][0], parts["far"][0]
    row = comparison_row(parts["test"][1])
    names = (
        "accuracy", "top_3_accuracy", "cross_entropy", "expected_calibration_error",
        "mean_lag_error",
    )  # fmt: skip
    result = far.rename(spearman="spearman_far", upper_rise="upper_rise_far").assign(
        spearman=near["spearman"], upper_rise=near["upper_rise"], epoch=epoch,
        **{name: row[name] for name in names},
    )  # fmt: skip
    write_result(result, path, options)
    return result


def _distances(network):
    """Returns the encoder of a network, which can compare patches at any lag."""
    from phire.rplearn.pair_model import encoder_of

    return encoder_of(network)


def score_rows(seed: int, result) -> list[dict[str, object]]:
    """Returns the scores of a seed as rows of ``scores.csv``: seed, measure, quantity, value."""
    of_network = (
        "epoch", "accuracy", "top_3_accuracy", "cross_entropy", "expected_calibration_error",
        "mean_lag_error",
    )  # fmt: skip
    rows = [
        {"seed": seed, "measure": "lag", "quantity": name, "value": float(result[name])}
        for name in of_network
    ]
    for measure in result["measure"].values:
        of = result.sel(measure=measure)
        for name in ("spearman", "upper_rise", "spearman_far", "upper_rise_far"):
            rows.append(
                {"seed": seed, "measure": measure, "quantity": name, "value": float(of[name])}
            )
        for lag in result["lag"].values:
            for name in ("mean", "std"):
                value = float(of[name].sel(lag=lag))
                quantity = f"{name}_{lag * 3}h"
                rows.append(
                    {"seed": seed, "measure": measure, "quantity": quantity, "value": value}
                )
    return rows


def with_spread(values: Sequence[float], digits: int = 3, factor: float = 1.0) -> str:
    """Formats the mean ± half the range."""
    values = [factor * value for value in values]
    mean, spread = sum(values) / len(values), (max(values) - min(values)) / 2
    several = f" ± {spread:.{digits}f}" if spread > 1e-9 * abs(mean) else ""
    return f"{mean:.{digits}f}{several}"


def write_tables(setup: Setup, results: Sequence, docs: Path) -> None:
    """Writes ``scores.csv``, and ``scores.md`` with mean ± half range over the seeds."""
    import pandas as pd

    from phire import files

    table = pd.DataFrame(
        [row for seed, result in enumerate(results) for row in score_rows(seed, result)]
    )
    files.write_text(docs / "scores.csv", table.to_csv(index=False, float_format="%.6g"))

    def cell(name: str, measure: str | None = None, **how) -> str:
        of = [one if measure is None else one.sel(measure=measure) for one in results]
        return with_spread([float(one[name]) for one in of], **how)

    near, far = 3 * setup.classes, 3 * setup.far * setup.classes
    lines = [
        "| | top 1 (%) | top 3 (%) | cross-entropy | calibration error (%) | mean error (h) |",
        "|---|---|---|---|---|---|",
        f"| {setup.classes} lags of 3 h, chance {100 / setup.classes:.1f} and "
        f"{300 / setup.classes:.1f} | {cell('accuracy', digits=1, factor=100)} | "
        f"{cell('top_3_accuracy', digits=1, factor=100)} | {cell('cross_entropy')} | "
        f"{cell('expected_calibration_error', digits=1, factor=100)} | "
        f"{cell('mean_lag_error', digits=2, factor=3)} |",
        "",
        f"| distance | rank correlation, 3–{near} h | rise {near // 2 + 3}–{near} h (%) | "
        f"rank correlation, 3–{far} h | rise {far // 2 + 3}–{far} h (%) |",
        "|---|---|---|---|---|",
    ]
    for measure, name in MEASURES.items():
        cells = (
            cell("spearman", measure), cell("upper_rise", measure, digits=1, factor=100),
            cell("spearman_far", measure), cell("upper_rise_far", measure, digits=1, factor=100),
        )  # fmt: skip
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    hours = [hour for hour in (3, 6, 12, 18, 24, 36, 48, 60, 72) if hour <= far]
    lines += [
        "",
        f"| mean distance, that at {near} h = 1 | " + " | ".join(f"{h} h" for h in hours) + " |",
        "|---" * (len(hours) + 1) + "|",
    ]
    for measure, name in MEASURES.items():
        of = [one["mean"].sel(measure=measure) for one in results]
        of = [one / one.sel(lag=setup.classes) for one in of]
        cells = [with_spread([float(one.sel(lag=h // 3)) for one in of], digits=2) for h in hours]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    files.write_text(docs / "scores.md", "\n".join(lines) + "\n")


def probe_all(setup: Setup, folder: Path, docs: Path, days: int = PROBE_DAYS) -> None:
    """Predicts jet latitudes of an independent simulation; writes ``probe.csv``, ``probe.md``."""
    import numpy as np
    import pandas as pd

    from phire import files
    from phire.fields.shallow_water import simulate
    from phire.jetstream import probe_jet

    store = folder / "probe.h5"
    simulate(store, days=days, resolution=setup.resolution, step="12h", seed=1)
    rows, facts = [], []
    for seed, (jet, band), layer in itertools.product(
        range(setup.seeds), PROBE_BANDS.items(), PROBED_LAYERS
    ):
        of_seed = folder / f"seed-{seed}"
        result = probe_jet(
            of_seed / "metric", store, of_seed / f"probe-{jet.split()[0]}-{layer}.nc",
            band=band, sectors=PROBE_SECTORS, every_hours=12, seed=seed, layer=layer,
        )  # fmt: skip
        if seed == 0 and layer == PROBED_LAYERS[0]:
            of = {name: float(result[name]) for name in (
                "index_std", "index_memory", "samples_fitted", "samples_judged"
            )}  # fmt: skip
            facts.append(
                f"{jet}: the index has a standard deviation of {of['index_std']:.2f}° and an "
                f"integral time scale of {of['index_memory']:.1f} days; about "
                f"{of['samples_fitted']:.0f} independent samples to fit on, "
                f"{of['samples_judged']:.0f} to test on."
            )
        names = ("r2", "r2_low", "r2_high", "mean_absolute_error", "features")
        for name in result["representation"].values:
            if name in ("learned", "random"):
                title = f"{name} {layer}"
            elif layer == PROBED_LAYERS[0]:
                title = str(name)
            else:
                continue  # predictors from raw fields do not depend on the layer
            of = result.sel(representation=name)
            rows.append(
                {"seed": seed, "jet": jet, "representation": title}
                | {key: float(of[key]) for key in names}
            )
    table = pd.DataFrame(rows)
    files.write_text(docs / "probe.csv", table.to_csv(index=False, float_format="%.6g"))
    lines = [
        "| | " + " | ".join(f"R², {jet} | error (°)" for jet in PROBE_BANDS) + " |",
        "|---" * (1 + 2 * len(PROBE_BANDS)) + "|",
    ]
    for name, title in PROBED.items():
        cells = [title]
        for jet in PROBE_BANDS:
            of = table[(table["representation"] == name) & (table["jet"] == jet)]
            spread = f"{np.mean(of['r2_low']):.2f} … {np.mean(of['r2_high']):.2f}"
            cells.append(f"{with_spread(list(of['r2']), digits=2)} ({spread})")
            cells.append(with_spread(list(of["mean_absolute_error"]), digits=2))
        lines.append("| " + " | ".join(cells) + " |")
    files.write_text(docs / "probe.md", "\n".join([*lines, "", *facts]) + "\n")


def draw_distances(setup: Setup, results: Sequence):
    """Draws mean and standard deviation of each distance by lag, with a thin line per seed.

    Distances are relative to their mean at the largest lag of the training.
    """
    import numpy as np

    from phire.evaluation.figures.style import candidate_styles, new_figure

    styles = candidate_styles(DRAWN)
    figure = new_figure(2.7 * len(DRAWN), 3.0)
    panels = figure.subplots(1, len(DRAWN), sharex=True, sharey=True, squeeze=False)[0]
    hours = 3 * results[0]["lag"].to_numpy()
    for axes, name in zip(panels, DRAWN):
        style = styles[name]
        of = [one.sel(measure=name) for one in results]
        units = [float(one["mean"].sel(lag=setup.classes)) for one in of]
        means = np.stack([one["mean"].to_numpy() / unit for one, unit in zip(of, units)])
        spread = np.mean([one["std"].to_numpy() / unit for one, unit in zip(of, units)], axis=0)
        mean = means.mean(axis=0)
        axes.fill_between(
            hours, mean - spread, mean + spread, color=style.colour, alpha=0.18, linewidth=0
        )
        for one in means:
            axes.plot(hours, one, color=style.colour, linewidth=0.7)
        axes.plot(hours, mean, marker=style.marker, markersize=3, **style.line())
        axes.axvline(3 * setup.classes, color="#999999", linewidth=0.8)
        correlation = np.mean([float(one["spearman_far"]) for one in of])
        axes.set_title(f"{MEASURES[name]}\nrank correlation {correlation:.2f}", size=8.5)
        axes.set_xlabel("lag (h)")
        axes.set_xticks(range(0, int(hours[-1]) + 1, 12 if hours[-1] <= 72 else 24))
    panels[0].set_ylim(bottom=0)
    panels[0].set_ylabel(f"distance, mean at {3 * setup.classes} h = 1")
    return figure


def study(
    setup: Setup,
    folder: str | os.PathLike,
    docs: str | os.PathLike,
    *,
    probe_days: int = PROBE_DAYS,
) -> None:
    """Runs the study in ``folder``, and writes its tables and figure to ``docs``.

    ``probe_days`` is the length of the simulation for the jet latitude; 0 leaves this part out.
    """
    from phire import existing_outputs, files
    from phire.errors import InputError
    from phire.evaluation.figures.figure_saving import save_figure
    from phire.evaluation.figures.style import styled

    folder, docs = Path(folder), Path(docs)
    plan = folder / "study.json"
    options = files.plain(dataclasses.asdict(setup))
    recorded: Mapping | None = json.loads(plan.read_text()) if plan.exists() else None
    found = existing_outputs.differences(recorded, options) if recorded else []
    if found:
        raise InputError(
            f"{folder} holds another study ({'; '.join(found)}): name another folder for this one."
        )
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(plan, options)
    docs.mkdir(parents=True, exist_ok=True)
    prepare(setup, folder)
    results = []
    for seed in range(setup.seeds):
        train_seed(setup, folder, seed)
        results.append(measure_pairs(setup, folder, seed))
        # Written after each seed, so that an interrupted study has tables, too.
        write_tables(setup, results, docs)
        with files.replacing(docs / "distances.png") as partial:
            whole = partial.with_suffix(".png")
            save_figure(styled(draw_distances)(setup, results), whole)
            os.replace(whole, partial)
    if probe_days:
        probe_all(setup, folder, docs, probe_days)


@click.command(cls=Command, overwrites=False, tensorflow=True)
@click.argument("folder", type=click.Path())
@click.option(
    "--docs",
    type=click.Path(),
    default="docs/learned_distance",
    help="Folder of tables and figure.",
)
@click.option("--resolution", type=int, help="Rows of the simulation's grid.  [default: 128]")
@click.option("--days", type=int, help="Simulated days.  [default: 230]")
@click.option("--validation-days", type=int, help="Days of validation.  [default: 15]")
@click.option("--test-days", type=int, help="Days of testing.  [default: 25]")
@click.option("--patch", type=int, help="Side of the patches.  [default: 32]")
@click.option("--classes", type=int, help="Number of lags, in steps of 3 h.  [default: 8]")
@click.option("--pairs-per-field", type=int, help="Training pairs per field.  [default: 40]")
@click.option("--held-out-pairs", type=int, help="Held-out pairs per field.  [default: 40]")
@click.option("--network", help="Encoder.  [default: tiny]")
@click.option("--epochs", type=int, help="Epochs at the full learning rate.  [default: 2]")
@click.option("--cool-down-epochs", type=int, help="Epochs at a tenth of it.  [default: 1]")
@click.option("--seeds", type=int, help="Number of seeds.  [default: 3]")
@click.option(
    "--probe-days", type=int, default=PROBE_DAYS, help="Days of the jet simulation; 0 for none."
)
def main(folder, docs, probe_days, **options):
    """Train the learned distance in FOLDER with several seeds, and test it on a later period."""
    given = {name: value for name, value in options.items() if value is not None}
    study(Setup(**given), folder, docs, probe_days=probe_days)


if __name__ == "__main__":
    main()
