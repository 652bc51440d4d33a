"""Outputs are whole or absent, and never mixed up."""

import errno
import json
import os
import threading

import numpy as np
import pytest

from phire import files
from phire.errors import InputError


def test_an_output_gets_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "output.txt"
    with files.replacing(path) as partial:
        partial.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_nothing_and_spares_what_was_there(tmp_path):
    path = tmp_path / "output.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as partial:
        partial.write_text("new")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_partial_work_is_kept_where_asked(tmp_path):
    path = tmp_path / "output"
    with pytest.raises(ZeroDivisionError), files.replacing(path, keep_partial=True) as partial:
        partial.mkdir()
        (partial / "a").write_text("1")
        raise ZeroDivisionError
    assert not path.exists()
    with files.replacing(path, keep_partial=True) as partial:
        assert (partial / "a").read_text() == "1"
    assert (path / "a").read_text() == "1"


def test_a_place_where_nothing_can_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "text").write_text("hello")
    with pytest.raises(InputError, match=r"text/a/b\.nc cannot be made .*text is a file"):
        files.write_text(tmp_path / "text" / "a" / "b.nc", "")

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(files.Path, "touch", refuse)
        with pytest.raises(InputError, match=r"b\.nc cannot be made \(permission denied\)"):
            files.write_text(tmp_path / "b.nc", "")

    with monkeypatch.context() as patched:
        patched.setattr(files.Path, "touch", refuse)
        with pytest.raises(InputError, match=r"results cannot be made \(permission denied\)"):
            files.require_place(tmp_path / "results")
    assert not (tmp_path / "results").exists()

    def fill(path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(files.Path, "touch", fill)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(tmp_path / "b.nc", "")
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_a_directory_replaces_a_directory(tmp_path):
    path = tmp_path / "output"
    for name in ("old", "new"):
        with files.replacing(path) as partial:
            partial.mkdir()
            (partial / name).write_text(name)
    assert [p.name for p in path.iterdir()] == ["new"]


def test_the_same_options_are_known_again(tmp_path):
    path = tmp_path / "output"
    options = {"patch": (160, 160), "out": path, "seed": np.int64(3), "time": None}
    assert not files.already_made(path, None, options)
    path.write_text("")
    recorded = json.loads(json.dumps(options, default=files.plain))
    assert files.already_made(path, recorded, options)
    assert not files.already_made(path, recorded, options, overwrite=True)


def test_other_options_are_refused_and_named(tmp_path):
    path = tmp_path / "output"
    path.write_text("")
    with pytest.raises(InputError, match=r"seed was 3, now 4; shards was 'not set', now 8"):
        files.already_made(path, {"seed": 3}, {"seed": 4, "shards": 8})


@pytest.mark.parametrize(
    ("recorded", "wanted", "said"),
    [
        ({"source": "/a/b", "fingerprint": "1"}, {"source": "/a/b", "fingerprint": "2"},
         ["the content of /a/b has changed"]),
        ({"source": "/a/b", "fingerprint": "1"}, {"source": "/a/c", "fingerprint": "2"},
         ["source was '/a/b', now '/a/c'"]),
        ({"sources": ["/a", "/b"], "fingerprints": ["1", "2"]},
         {"sources": ["/a", "/b"], "fingerprints": ["1", "3"]},
         ["the content of /b has changed"]),
        ({"low": "/l", "low_fingerprint": "1", "store": "/s", "fingerprint": "1"},
         {"low": "/l", "low_fingerprint": "2", "store": "/s", "fingerprint": "1"},
         ["the content of /l has changed"]),
        ({"metric_fingerprints": {"/m": "1"}}, {"metric_fingerprints": {"/m": "2"}},
         ["the content of /m has changed"]),
        ({"candidates": {"a": {"path": "/a", "fingerprint": "1"}}},
         {"candidates": {"a": {"path": "/a", "fingerprint": "2"}}},
         ["the content of /a has changed"]),
        ({"weights_fingerprint": "1", "run": "/r"}, {"weights_fingerprint": "2", "run": "/r"},
         ["the content of /r has changed"]),
        ({"odd_fingerprint": "1"}, {"odd_fingerprint": "2"},
         ["the content of an input has changed"]),
    ],
)  # fmt: skip
def test_files_are_named_not_their_fingerprints(recorded, wanted, said):
    assert files.differences(recorded, wanted) == said
    assert files.differences(recorded, recorded) == []


def test_a_path_is_the_same_by_whatever_way(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "b")
    recorded = {"run": f"{tmp_path}/b", "sources": [f"{tmp_path}/b/../b"]}
    for way in (f"{tmp_path}/b/../b", f"{tmp_path}/link", f"{tmp_path}/./b"):
        assert files.differences(recorded, {"run": way, "sources": [way]}) == []
    assert files.differences(recorded, {"run": f"{tmp_path}/c", "sources": [f"{tmp_path}/b"]})


def test_a_foreign_output_is_refused(tmp_path):
    path = tmp_path / "output"
    path.write_text("")
    with pytest.raises(InputError, match="was not made by this command"):
        files.already_made(path, None, {})


def test_a_fingerprint_changes_with_any_part_of_small_files(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 1000)
    first = files.fingerprint(path)
    path.write_bytes(b"x" * 999 + b"y")
    assert files.fingerprint(path) != first


def test_a_fingerprint_of_a_large_file_sees_both_ends(tmp_path):
    path = tmp_path / "a"
    content = bytearray(5 << 20)
    path.write_bytes(content)
    first = files.fingerprint(path)
    content[-1] = 1
    path.write_bytes(content)
    last = files.fingerprint(path)
    content[0] = 1
    path.write_bytes(content)
    assert len({first, last, files.fingerprint(path)}) == 3


def test_a_fingerprint_of_a_directory_sees_names(tmp_path):
    (tmp_path / "a").write_text("1")
    first = files.fingerprint(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert files.fingerprint(tmp_path) != first


def test_files_go_to_the_disk_while_they_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FLUSHED_EVERY", 1e-3)
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_bytes(b"1")
    synced, both = [], threading.Event()

    def fsync(descriptor: int) -> None:
        synced.append(os.path.samestat(os.fstat(descriptor), paths[0].stat()))
        if {True, False} <= set(synced):
            both.set()

    monkeypatch.setattr(os, "fsync", fsync)
    with files.flushing(paths):
        assert both.wait(30)


def test_a_disk_that_fails_meanwhile_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FLUSHED_EVERY", 1e-3)
    path = tmp_path / "a"
    path.write_bytes(b"1")
    failed = threading.Event()

    def fsync(descriptor: int) -> None:
        failed.set()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output error"), files.flushing([path]):
        assert failed.wait(30)
    with pytest.raises(KeyError, match="the block's own"), files.flushing([path]):
        raise KeyError("the block's own")
