"""Pipelines that run: skipped, changed, failed and interrupted stages, on jobs and on a cluster."""

import json
import signal
import socket
import subprocess
import sys
import time

import pytest

import pipeline
from phire import progress
from phire.errors import InputError, WorkError
from phire.evaluation.report.score_tables import printed
from phire.pipeline import plan_pipeline, run_pipeline

pytestmark = pytest.mark.slow  # each stage starts a process

TEXT = """
directory: {directory}
sweep:
  seed: [0, 1]
stages:
  simulation:
    command: phire simulate
    days: 0.5
    spin-up: 0
    resolution: 32
    seed: ${{seed}}
  coarse: {{command: phire regrid, source: "${{simulation}}", grid: "degrees:30", method: bilinear}}
"""
RESULTS = """\
  results:
    command: phire-eval
    truth: ${{simulation}}
    scale: 2
    metrics: [scores]
    report: false
    candidate: {{bicubic: bicubic}}
"""


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(TEXT.format(directory=tmp_path / "out"))
    return path


def states(path, *overrides):
    return {name: planned.state for name, planned in plan_pipeline(path, overrides).items()}


def made(tmp_path):
    """The identity of each stage's last making."""
    records = (tmp_path / "out" / ".stages").glob("*.json")
    return {path.stem: json.loads(path.read_text())["made"] for path in records}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    path = folder / "study.yaml"
    path.write_text((TEXT + RESULTS).format(directory=folder / "out"))
    run_pipeline(path, jobs=2, report=True)
    return path


def test_all_stages_are_made_and_logged(finished):
    assert set(states(finished).values()) == {"done"}
    out = finished.parent / "out"
    assert (out / "simulation_seed-1.h5").is_file()
    assert "phire simulate" in (out / "logs" / "simulation_seed-0.log").read_text()


def test_the_report_has_the_scores_of_every_evaluation(finished):
    out = finished.parent / "out"
    page = (out / "report.html").read_text()
    for seed in (0, 1):  # two truths, which nothing compares
        summary = (out / f"results_seed-{seed}" / "summary.csv").read_text().splitlines()
        column = next(i for i, name in enumerate(summary[0].split(",")) if "rmse" in name)
        assert f"results_seed-{seed}" in page
        assert f">{printed(float(summary[1].split(',')[column]))}<" in page
    assert not (out / "comparison").exists()


def test_done_stages_are_skipped_and_changed_ones_made_again(finished):
    before = made(finished.parent)
    run_pipeline(finished)
    assert made(finished.parent) == before
    changed = ["sweep.seed=[1]", "stages.simulation.days=0.25"]
    planned = plan_pipeline(finished, changed)
    assert {p.state for p in planned.values()} == {"changed"}
    assert "days was '0.5', now '0.25'" in planned["simulation_seed-1"].reason
    assert planned["coarse_seed-1"].reason == "simulation_seed-1 is run again"
    run_pipeline(finished, changed)
    after = made(finished.parent)
    assert {name for name in after if after[name] != before[name]} == {
        *("simulation_seed-1", "coarse_seed-1", "results_seed-1")
    }
    # The other seed's stages stand; this one's are not those of the file any more.
    assert states(finished) == {name: "done" if "seed-0" in name else "changed" for name in after}


def test_an_output_that_is_gone_and_an_input_that_changed_are_made_again(tmp_path):
    path = tmp_path / "one.yaml"
    pipeline.run("phire", "simulate", tmp_path / "in.h5", "--days", "0.2", "--resolution", "32",
                 "--spin-up", "0")  # fmt: skip
    path.write_text(
        f"directory: {tmp_path / 'out'}\n"
        f"stages: {{coarse: {{command: phire regrid, source: {tmp_path / 'in.h5'}, "
        "grid: 'degrees:30', method: nearest}}"
    )
    run_pipeline(path)
    assert states(path) == {"coarse": "done"}
    (tmp_path / "out" / "coarse.h5").unlink()
    assert states(path) == {"coarse": "to run"}
    run_pipeline(path)
    with open(tmp_path / "in.h5", "ab") as stream:
        stream.write(b"more")
    (planned,) = plan_pipeline(path).values()
    assert planned.state == "changed" and "in.h5 has changed" in planned.reason


def test_a_failed_branch_leaves_the_others_going(study):
    text = study.read_text().replace("days: 0.5", "days: 0.25").replace(
        "seed: [0, 1]", "seed: [0]\n  grid: {good: 'degrees:30', bad: 'hexagons:3'}"
    ).replace('"degrees:30"', '"${grid}"')  # fmt: skip
    study.write_text(text)
    printed = pipeline.run("phire", "run", study, "--jobs", "2", status=1)
    last = printed.strip().splitlines()[-1]
    failure = "coarse_seed-0_grid-bad: exit status 2, see"
    assert f"1 of 3 stages failed or were not run: {failure}" in last
    assert states(study) == {
        "simulation_seed-0": "done",
        "coarse_seed-0_grid-good": "done",
        "coarse_seed-0_grid-bad": "to run",
    }


def test_a_command_is_shown_when_it_starts(study):
    """With one job the second simulation is announced after what the first one printed."""
    printed = pipeline.run("phire", "run", study, "--set", "stages.simulation.days=0.25")
    first, second = (printed.index(f"simulation_seed-{seed}.h5 --days") for seed in (0, 1))
    assert first < printed.index("simulation_seed-0.h5:") < second


def test_what_something_else_made_is_never_replaced(study):
    mine = study.parent / "out" / "simulation_seed-0.h5"
    mine.parent.mkdir()
    mine.write_text("mine")
    for days in (0.25, 0.5):
        with pytest.raises(WorkError, match="simulation_seed-0: exit status 2"):
            run_pipeline(study, ["sweep.seed=[0]", f"stages.simulation.days={days}"])
    assert mine.read_text() == "mine"


def test_what_needs_a_failed_stage_is_listed(study):
    with pytest.raises(WorkError, match="coarse_seed-1: not run without simulation_seed-1"):
        # Too few rows: the command refuses it, the pipeline cannot know.
        run_pipeline(study, ["stages.simulation.resolution=15"])


def test_an_interrupted_run_ends_its_commands_and_goes_on(study):
    set_days = ("--set", "stages.simulation.days=4000", "--set", "sweep.seed=[0]")
    process = pipeline.start("phire", "run", study, *set_days)
    record = study.parent / "out" / ".stages" / "simulation_seed-0.json"
    while not record.exists():
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    found = subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True, check=True)
    assert str(study.parent) not in found.stdout
    assert states(study, *set_days[1::2])["simulation_seed-0"] == "to run"
    assert states(study, "sweep.seed=[0]")["simulation_seed-0"] == "changed"
    run_pipeline(study, ["sweep.seed=[0]"])
    assert set(states(study, "sweep.seed=[0]").values()) == {"done"}


def test_a_replacement_that_was_interrupted_is_taken_up(study):
    only = ["sweep.seed=[0]"]
    run_pipeline(study, only)
    changed = [*only, "stages.simulation.days=0.25"]
    record = study.parent / "out" / ".stages" / "simulation_seed-0.json"
    content = json.loads(record.read_text())
    # As if the run ended after the record was written and before the output was touched.
    content |= {"finished": False, "overwrites": True}
    content["options"]["days"] = ["0.25"]
    record.write_text(json.dumps(content))
    run_pipeline(study, changed)
    assert set(states(study, *changed).values()) == {"done"}


def test_two_runs_of_one_directory_exclude_one_another(study):
    import fcntl

    folder = study.parent / "out" / ".stages"
    folder.mkdir(parents=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="in use by another phire run"):
            run_pipeline(study)


def test_a_quiet_run_says_nothing(study, capfd):
    with progress.quiet():
        run_pipeline(study)
    assert capfd.readouterr().err == ""
    assert set(states(study).values()) == {"done"}


def test_a_dry_run_prints_the_graph_and_makes_nothing(study):
    printed = pipeline.run("phire", "run", study, "--dry-run")
    assert "coarse_seed-1 ← simulation_seed-1: to run" in printed
    assert f"phire simulate {study.parent}/out/simulation_seed-0.h5 --days 0.5" in printed
    assert not (study.parent / "out").exists()


def test_a_mistake_is_told_in_the_callers_words(study):
    with pytest.raises(InputError, match=r"^only metrics is not a stage"):
        plan_pipeline(study, only=["metrics"])
    mistakes = {"--only": "metrics", "--set": "days"}
    for option, value in mistakes.items():
        told = pipeline.run("phire", "run", study, "--dry-run", option, value, status=2)
        assert f"phire run: {option} " in told


def test_stages_run_on_a_dask_cluster(study):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    parts = [
        ["dask_scheduler", "--port", address.rpartition(":")[2], "--no-dashboard"],
        ["dask_worker", address, "--nthreads", "2", "--no-dashboard", "--no-nanny"],
    ]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{name}", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, *options in parts
    ]
    try:
        run_pipeline(study, ["stages.simulation.days=0.25"], scheduler=address)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert set(states(study, "stages.simulation.days=0.25").values()) == {"done"}
    assert (study.parent / "out" / "logs" / "coarse_seed-1.log").is_file()
