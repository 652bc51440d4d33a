"""Reading of pipeline files: sweeps, references, command lines, and mistakes found before a run."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.errors import InputError
from phire.evaluation.domain import check_name
from phire.part_registry import parse, specification_text
from phire.pipeline import plan_pipeline
from phire.pipeline.commands import command_line
from phire.pipeline.configuration import read_pipeline
from phire.pipeline.stages import expand, with_needs

PIPELINES = sorted((Path(__file__).parents[2] / "pipelines").glob("*.yaml"))
STUDY = """
directory: out
variables:
  train: 2000-01-01,2000-01-16
  crop: {patch: [16, 16]}
sweep:
  seed: [0, 1]
  content: {mse: mse, "learned + adversary": "0.25*${metric}"}
stages:
  results:
    command: phire-eval
    truth: ${simulation}
    scale: 4
    report: false
    candidate: [bicubic=bicubic, "${named:generator}"]
  simulation: {command: phire simulate, days: 20}
  representation: {command: rplearn-train, records: "${simulation}", seed: "${seed}"}
  metric: {command: rplearn-eval, run: "${representation}", records: "${simulation}"}
  generator:
    command: phire-train
    records: ${simulation}
    jit: true
    conserve: false
    objective: {name: srgan, content: "${content}", layers: [stage1, stage2]}
    learning-rates: [1e-4, 1e-5]
"""
MEMBERS = """
sweep: {steps: [10, 18]}
stages:
  members:
    command: phire predict
    run: denoiser
    input: coarse.nc
    sampler: heun,steps=${steps}
  results: {command: phire-eval, truth: fine.nc, candidate: ["${named:members}"]}
"""


@pytest.fixture
def stages_of(tmp_path):
    def read(text, *overrides):
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return expand(read_pipeline(path, overrides))

    return read


def test_a_stage_varies_along_its_axes_and_those_of_what_it_needs(stages_of):
    stages = stages_of(STUDY)
    assert set(stages) == {
        "simulation",
        *("representation_seed-0", "representation_seed-1"),
        *("metric_seed-0", "metric_seed-1"),
        # The mean squared error needs no metric, and so does not vary with its seed.
        "generator_content-mse",
        "generator_seed-0_content-learned-adversary",
        "generator_seed-1_content-learned-adversary",
        "results",
    }
    learned = stages["generator_seed-1_content-learned-adversary"]
    assert set(learned.needs) == {"simulation", "metric_seed-1"}
    assert learned.words == shlex.split(
        "out/simulation.h5 --out out/generator_seed-1_content-learned-adversary --objective "
        "'srgan,content=0.25*out/metric_seed-1,layers=[stage1, stage2]' "
        "--learning-rates 0.0001,1e-05 --jit"
    )


def test_text_before_named_outputs_belongs_to_each_name(stages_of):
    results = stages_of(STUDY.replace('"${named:generator}"', '"srgan, ${named:generator}"'))
    assert results["results"].options["candidate"][1:] == [
        "srgan, mse=out/generator_content-mse",
        "srgan, seed 0 learned + adversary=out/generator_seed-0_content-learned-adversary",
        "srgan, seed 1 learned + adversary=out/generator_seed-1_content-learned-adversary",
    ]


def test_named_outputs_are_candidates(stages_of):
    results = stages_of(STUDY)["results"]
    assert results.options["candidate"] == [
        "bicubic=bicubic",
        "mse=out/generator_content-mse",
        "seed 0 learned + adversary=out/generator_seed-0_content-learned-adversary",
        "seed 1 learned + adversary=out/generator_seed-1_content-learned-adversary",
    ]
    assert "--no-report" in results.words


def test_names_of_candidates_are_ones_that_evaluations_take(stages_of):
    text = """
    directory: d
    sweep:
      sampler: {"Heun 10": "heun,steps=10", DDIM: ddim}
      guidance: [0.5, 2.25]
    stages:
      ensemble:
        command: phire predict
        run: r
        input: fine.h5
        sampler: "${sampler},guidance=${guidance}"
      results: {command: phire-eval, truth: fine.h5, candidate: ["flow, ${named:ensemble}"]}
    """
    names = [one.partition("=")[0] for one in stages_of(text)["results"].options["candidate"]]
    assert len({*names}) == 4 and all(name.startswith("flow, ") for name in names)
    for name in names:
        check_name(name, "--candidate")


def test_paths_of_all_points_are_arguments(stages_of):
    text = """
    directory: d
    sweep: {year: [1979, 1980]}
    stages:
      store: {command: phire convert, sources: "era5_${year}.nc", output: years/e5.h5}
      joined: {command: phire join, stores: "${paths:store}"}
    """
    stages = stages_of(text)
    assert stages["store_year-1980"].words == ["era5_1980.nc", "d/years/e5_year-1980.h5"]
    assert stages["joined"].words == [
        *("d/years/e5_year-1979.h5", "d/years/e5_year-1980.h5", "d/joined.h5")
    ]


def test_samplers_are_an_axis_of_the_sweep(stages_of):
    stages = stages_of(MEMBERS)
    assert stages["members_steps-10"].options["sampler"] == ["heun,steps=10"]
    assert stages["results"].options["candidate"] == [
        f"steps {n}=study/members_steps-{n}.nc" for n in (10, 18)
    ]
    with pytest.raises(InputError, match="steps=10/18 gives several outputs, but a stage has one"):
        stages_of(MEMBERS, "stages.members.sampler=heun,steps=10/18")


def test_values_are_set_from_outside(stages_of):
    stages = stages_of(STUDY, "sweep.seed=[7]", "stages.simulation.days=2", "directory=elsewhere")
    assert stages["simulation"].words == ["elsewhere/simulation.h5", "--days", "2"]
    assert "metric_seed-7" in stages and "metric_seed-0" not in stages


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("stages.simulatoin.days=2", "the pipeline has no stages.simulatoin.days"),
        ("variables.test=2", "the pipeline has no variables.test"),
        ("days", "not of the form a.b=value"),
        ("stages.simulation.dayz=2", "stages.simulation: phire simulate has no option 'dayz'"),
        ("stages.simulation.days=soon", "phire simulate: days: 'soon' is not a valid float"),
        ("stages.simulation.command=phire info", "phire info writes no output"),
        ("stages.simulation.command=cp", "command 'cp' is not one of"),
        ("stages.generator.network=resnett", "network 'resnett' is unknown"),
        ("stages.generator.objective={name: srgan, contnet: mse}", "contnet"),
        ("stages.generator.records=${patches}", "stages.generator: .*'patches' not found; the"),
        ("stages.simulation.threads=${results}", "need one another .*simulation"),
        ("stages.generator.records=null", "phire-train needs records"),
        ("sweep.seed=[a/b, 1]", "'a/b', which cannot be part of a file name"),
        ("sweep.seed=3", "sweep.seed must be a list"),
        ("variables.train=${train}", "Recursive interpolation"),
    ],
)
def test_mistakes_are_told_by_their_place(stages_of, override, said):
    text = STUDY.replace("days: 20", "days: 20, step: '${train}'")
    with pytest.raises(InputError, match=said):
        stages_of(text, override)


def test_two_stages_cannot_write_one_output(stages_of):
    text = """
    stages:
      a: {command: phire simulate, output: x.h5}
      b: {command: phire simulate, output: x.h5}
    """
    with pytest.raises(InputError, match="b and a write the same output"):
        stages_of(text)


def test_a_pipeline_is_told_from_other_files(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        plan_pipeline(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("stages: [")
    with pytest.raises(InputError, match="is not YAML"):
        plan_pipeline(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(InputError, match="must be a mapping"):
        plan_pipeline(tmp_path / "list.yaml")
    (tmp_path / "other.yaml").write_text("steps: {a: 1}")
    with pytest.raises(InputError, match="unknown key 'steps'"):
        plan_pipeline(tmp_path / "other.yaml")


def test_values_that_begin_with_a_dash_stay_values():
    words, _ = command_line("rplearn-data", {"store": "x.h5", "latitudes": [-70, 70]}, "pairs")
    assert words == ["x.h5", "pairs", "--latitudes=-70,70"]


VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab/: '#-.~", max_size=6),
    lambda items: st.lists(items, max_size=3) | st.dictionaries(st.text("ab", min_size=1), items),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=40)
@given(st.dictionaries(st.from_regex("[a-m_]{1,5}", fullmatch=True), VALUES, max_size=3))
def test_a_part_is_the_same_as_text_and_as_mapping(options):
    assert parse(specification_text({"name": "part", **options})) == ("part", options)


def test_an_option_that_has_no_text_is_refused():
    with pytest.raises(InputError, match="cannot be written"):
        specification_text({"name": "srgan", "content": "metrics,old"})


def test_only_takes_what_a_stage_needs_and_no_more(stages_of):
    stages = stages_of(STUDY)
    found = with_needs(stages, ["generator_seed-1_content-learned-adversary"])
    assert list(found) == [
        "simulation", "representation_seed-1", "metric_seed-1",
        "generator_seed-1_content-learned-adversary",
    ]  # fmt: skip
    assert set(with_needs(stages, ["metric"])) == {
        "simulation",
        *(f"{name}_seed-{seed}" for name in ("representation", "metric") for seed in (0, 1)),
    }
    assert with_needs(stages, []) == stages
    with pytest.raises(InputError, match="only metrics is not a stage: choose among simulation"):
        with_needs(stages, ["metrics"])


@pytest.mark.parametrize("path", PIPELINES, ids=[path.stem for path in PIPELINES])
def test_every_pipeline_of_the_repository_can_be_run(path, tmp_path):
    planned = plan_pipeline(path, [f"directory={tmp_path}"])
    assert len(planned) > 3 and {p.state for p in planned.values()} == {"to run"}
    for stage in (p.stage for p in planned.values() if p.stage.command == "phire-eval"):
        for one in stage.options["candidate"]:
            check_name(one.partition("=")[0], "--candidate")
