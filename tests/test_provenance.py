"""Outputs record what made them."""

from phire import provenance


def test_a_fingerprint_changes_with_any_part_of_small_files(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 1000)
    first = provenance.fingerprint(path)
    path.write_bytes(b"x" * 999 + b"y")
    assert provenance.fingerprint(path) != first


def test_a_fingerprint_of_a_large_file_sees_both_ends(tmp_path):
    path = tmp_path / "a"
    content = bytearray(5 << 20)
    path.write_bytes(content)
    first = provenance.fingerprint(path)
    content[-1] = 1
    path.write_bytes(content)
    last = provenance.fingerprint(path)
    content[0] = 1
    path.write_bytes(content)
    assert len({first, last, provenance.fingerprint(path)}) == 3


def test_a_fingerprint_of_a_directory_sees_names(tmp_path):
    (tmp_path / "a").write_text("1")
    first = provenance.fingerprint(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert provenance.fingerprint(tmp_path) != first
