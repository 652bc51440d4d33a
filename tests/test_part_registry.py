"""Registries of parts: reading choices, finding parts without importing them, kind errors."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phire.errors import InputError
from phire.part_registry import Registry, options_of, parse, split_outside_brackets
from phire.part_sources import part_of_function, parts_in_source


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry over a package with one module in a subpackage that must not be imported."""
    package = tmp_path / "made_up" / "deeper"
    package.mkdir(parents=True)
    (tmp_path / "made_up" / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text(
        textwrap.dedent(
            '''
            from made_up_registry import shape

            RADIUS = 0.1
            SIZES: tuple = (1, 2)

            @shape("circle")
            @shape("dot", radius=RADIUS)
            def circle(size, *, radius=1.0, filled=False, parts=SIZES):
                """Draws a circle."""
                return size, radius, filled, parts

            @shape("wave")
            def wave(size, *, length, **more):
                return size, length, more
            '''
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = type(sys)("made_up_registry")
    module.shape = Registry("shape", "made_up")
    module.options_of = options_of
    monkeypatch.setitem(sys.modules, "made_up_registry", module)
    yield module.shape
    for name in [name for name in sys.modules if name.split(".")[0] == "made_up"]:
        del sys.modules[name]
    parts_in_source.cache_clear()


def test_parts_are_found_without_importing_their_modules(registry):
    found = registry.parts()
    assert list(found) == ["circle", "dot", "wave"]
    assert found["dot"].options == {"radius": 0.1, "filled": False, "parts": (1, 2)}
    assert found["circle"].docstring == "Draws a circle."
    assert "made_up.deeper.one" not in sys.modules


def test_a_default_that_is_no_literal_is_refused(registry, tmp_path):
    (tmp_path / "made_up" / "two.py").write_text(
        "@shape('star')\ndef star(size, *, points=len('abc')):\n    pass\n"
    )
    with pytest.raises(ValueError, match=r"\"len\('abc'\)\" is not a literal"):
        registry.parts()


SHARED = '''
def blank(size, *, colour="red", parts=(1, 2), margin=0):
    """Makes a blank.

    Args:
        size: Its size.
        colour: Its colour,
            by name.
        parts, margin: Its layout.

    Raises:
        InputError: It is impossible.
    """
    return size, colour, parts, margin
'''
STAR = '''
from made_up.shared import blank
from made_up_registry import options_of, shape

@shape("star", colour="blue")
@options_of(blank)
def star(size, *, points=5, margin=1, **options):
    """Draws a star.

    Args:
        size: Its size.
        points: Its points.
        **options: See :func:`blank`.
    """
    return points, *blank(size, margin=margin, **options)
'''


def test_a_part_has_the_options_of_another_function(registry, tmp_path):
    (tmp_path / "made_up" / "shared.py").write_text(SHARED)
    (tmp_path / "made_up" / "star.py").write_text(STAR)
    expected = {"points": 5, "margin": 1, "colour": "blue", "parts": (1, 2)}
    part = registry.part("star")
    assert part.options == expected
    assert not part.open
    assert "made_up.shared" not in sys.modules
    text = "    points: Its points.\n    colour: Its colour,\n        by name.\n    parts, margin:"
    assert text in part.docstring
    assert "**options" not in part.docstring
    assert registry.build("star,points=6,parts=[3]", 7) == (6, 7, "blue", [3], 1)
    with pytest.raises(InputError, match="no option 'width'"):
        registry.build("star,width=3", 1)
    # A function that is registered without its source in the package says the same.
    function = registry.function("star")
    assert part_of_function("star", function, {"colour": "blue"}).options == expected


def test_parts_of_several_packages_are_one_kind(registry, tmp_path):
    other = tmp_path / "made_up_too"
    other.mkdir()
    (other / "__init__.py").write_text("")
    (other / "star.py").write_text("@shape('star')\ndef star(size):\n    pass\n")
    both = Registry("shape", "made_up", "made_up_too")
    assert list(both.parts()) == ["circle", "dot", "star", "wave"]
    assert list(both.within("made_up_too").parts()) == ["star"]


def test_a_part_is_built_with_presets_and_options(registry):
    assert registry.build("dot,filled,parts=[3,4]", 7) == (7, 0.1, True, [3, 4])
    assert registry.build({"name": "circle", "radius": 2}, 7) == (7, 2, False, (1, 2))
    assert registry.build("circle", 7, options={"radius": 3}) == (7, 3, False, (1, 2))
    assert registry.mapping("dot") == {
        "name": "dot", "radius": 0.1, "filled": False, "parts": (1, 2),
    }  # fmt: skip


def test_a_part_that_takes_more_gets_more(registry):
    assert registry.build("wave,length=2,colour=red", 1) == (1, 2, {"colour": "red"})


def test_unknown_names_and_options_are_told_with_what_there_is(registry):
    with pytest.raises(InputError, match=r"shape 'square' is unknown: .*circle, dot, wave"):
        registry.build("square", 1)
    with pytest.raises(InputError, match=r"no option 'width': it has radius=1\.0, filled=false"):
        registry.build("circle,width=3", 1)
    with pytest.raises(InputError, match="needs the option length"):
        registry.build("wave", 1)


def test_parts_registered_outside_the_package_count(registry):
    @registry("blob")
    def blob(size, *, mass=3):
        return size * mass

    assert registry.build("blob,mass=4", 2) == 8


def test_values_are_read_as_yaml():
    assert parse("a,b=1,c=1e-3,d=x,e=[1,2],f,g-h=null") == (
        "a", {"b": 1, "c": 1e-3, "d": "x", "e": [1, 2], "f": True, "g_h": None},
    )  # fmt: skip


@pytest.mark.parametrize("text", ["", "b=1", ",b=1"])
def test_a_choice_without_a_name_is_refused(text):
    with pytest.raises(InputError, match="name"):
        parse(text)


@given(st.lists(st.text("ab=[]", max_size=4).filter(lambda t: t.count("[") == t.count("]"))))
def test_splitting_keeps_every_character(pieces):
    text = ",".join(pieces)
    assert ",".join(split_outside_brackets(text)) == text


def test_network_names_need_no_keras():
    script = (
        "import sys; from phire.networks import network; "
        "network.parts(); print('keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert done.stdout == b"False\n"
