"""``phire parts``: kinds, names, options and docstrings, without TensorFlow."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from phire.cli.part_choice import REGISTRIES, registry_of
from phire.cli.parts import main, written
from phire.part_registry import parse


def run(*arguments, status=0):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == status, result.output
    return result.output


def test_every_kind_has_parts_with_a_docstring_of_one_sentence():
    for kind in REGISTRIES:
        parts = registry_of(kind).parts()
        assert parts
        for part in parts.values():
            first = part.docstring.partition("\n")[0]
            assert first.endswith("."), f"{kind} {part.name}: {first!r}"


def test_names_options_and_docstrings_are_printed():
    assert "srgan-small" in run()
    listed = run("network")
    assert "srgan-small" in listed and "filters=32" in listed
    described = run("network", "srgan")
    assert described.startswith("srgan  filters=64, blocks=16, kernel=9, upsampling=subpixel,")
    assert "resize`, nearest neighbours" in described


def test_descriptions_have_what_a_user_may_set_and_no_roles_of_sphinx():
    described = run("network", "srgan")
    assert "Options:\n    filters: " in described
    assert not any(word in described for word in ("Args:", "Raises:", "shapes:", "``", ":func:"))
    assert run("content", "mae").strip().endswith("normalised values.")
    assert "In Python: phire.evaluation.scores_by_hour(…)" in run("statistic", "by_hour")
    assert "function=" not in run("statistic", "by_hour") + run("statistic")


@pytest.mark.parametrize("value", [True, None, 3, 1e-4, "mse", (1, 2), [0.5, "a"]])
def test_defaults_are_written_as_they_are_read(value):
    _, options = parse(f"x,option={written(value)}")
    assert options["option"] == (list(value) if isinstance(value, tuple) else value)


def test_unknown_ones_are_told():
    assert "choose one of network, encoder" in run("networks", status=2)
    assert "network 'esrgan' is unknown: choose one of" in run("network", "esrgan", status=2)


def test_no_tensorflow_is_loaded():
    script = (
        "import sys; from phire.cli.parts import main\n"
        "main(['network', 'srgan'], standalone_mode=False)\n"
        "print('loaded:', *sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert done.stdout.decode().splitlines()[-1] == "loaded:"
