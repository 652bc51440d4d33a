"""A command finds its own finished output and refuses others."""

import json

import numpy as np
import pytest

from phire import existing_outputs, files
from phire.errors import InputError


def test_the_same_options_are_known_again(tmp_path):
    path = tmp_path / "output"
    options = {"patch": (160, 160), "out": path, "seed": np.int64(3), "time": None}
    assert not existing_outputs.already_made(path, None, options)
    path.write_text("")
    recorded = json.loads(json.dumps(options, default=files.plain))
    assert existing_outputs.already_made(path, recorded, options)
    assert not existing_outputs.already_made(path, recorded, options, overwrite=True)


def test_other_options_are_refused_and_named(tmp_path):
    path = tmp_path / "output"
    path.write_text("")
    with pytest.raises(InputError, match=r"seed was 3, now 4; shards was 'not set', now 8"):
        existing_outputs.already_made(path, {"seed": 3}, {"seed": 4, "shards": 8})


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
    assert existing_outputs.differences(recorded, wanted) == said
    assert existing_outputs.differences(recorded, recorded) == []


def test_a_path_is_the_same_by_whatever_way(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "b")
    recorded = {"run": f"{tmp_path}/b", "sources": [f"{tmp_path}/b/../b"]}
    for way in (f"{tmp_path}/b/../b", f"{tmp_path}/link", f"{tmp_path}/./b"):
        assert existing_outputs.differences(recorded, {"run": way, "sources": [way]}) == []
    assert existing_outputs.differences(
        recorded, {"run": f"{tmp_path}/c", "sources": [f"{tmp_path}/b"]}
    )


def test_a_foreign_output_is_refused(tmp_path):
    path = tmp_path / "output"
    path.write_text("")
    with pytest.raises(InputError, match="was not made by this command"):
        existing_outputs.already_made(path, None, {})
