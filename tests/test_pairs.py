"""Which files belong together, as lists say it that other programs wrote."""

from pathlib import Path

import pytest

from jaxface.evaluation.datasets import find_pairs
from jaxface.export.files import Inputs


def test_a_spreadsheets_empty_rows_are_none_and_lines_are_counted_as_an_editor_does(tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_text("\ufeffpred,gt\r\na.ply,b.ply\r\n,\r\n\r\nc.ply,d.ply\r\n", encoding="utf-8", newline="")
    assert [pair.name for pair in find_pairs(table, None)] == ["a", "c"]
    table.write_text("pred,gt\na.ply,b.ply\n\n,\nc.ply,\n")
    with pytest.raises(ValueError, match="pairs.csv: line 5 lacks its pred or gt"):
        find_pairs(table, None)


@pytest.fixture
def now(tmp_path):
    for name in "scans", "scans_lmks_onlypp":
        (tmp_path / "NoW" / name).mkdir(parents=True)
    return tmp_path / "NoW"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_the_list_of_now_may_begin_with_a_mark(now, encoding):
    (now / "imagepathsvalidation.txt").write_text("Zoë/selfie/1.jpg\n", encoding=encoding)
    (pair,) = find_pairs(now, now)
    assert pair.name == "Zoë/selfie/1" and pair.group == "selfie"


def test_a_list_in_another_encoding_is_named(now):
    (now / "imagepathsvalidation.txt").write_text("Zoë/selfie/1.jpg\n", encoding="latin-1")
    with pytest.raises(ValueError, match="imagepathsvalidation.txt: cannot be read .*; takes UTF-8"):
        find_pairs(now, now)


def test_results_stay_in_their_folder(now):
    (now / "imagepathsvalidation.txt").write_text("../../1.jpg\n")
    assert [pair.name for pair in find_pairs(now, now)] == ["1"]


def test_a_name_that_no_file_can_have_is_no_input():
    Inputs([Path("a\0b")]).require_kept(Path("a"), [Path("a\0b")])
