"""Outputs are whole or absent."""

import errno
import os
import threading

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
    with pytest.raises(InputError, match=r"text/a/b\.nc cannot be created .*text is a file"):
        files.write_text(tmp_path / "text" / "a" / "b.nc", "")

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(files.Path, "touch", refuse)
        with pytest.raises(InputError, match=r"b\.nc cannot be created \(permission denied\)"):
            files.write_text(tmp_path / "b.nc", "")

    with monkeypatch.context() as patched:
        patched.setattr(files.Path, "touch", refuse)
        with pytest.raises(InputError, match=r"results cannot be created \(permission denied\)"):
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
