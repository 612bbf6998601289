"""Which images a run is over: a folder's, a pattern's or a list's."""

import os
from pathlib import Path

import pytest
import stub_detector
from PIL import Image

from jaxface.detection.reading import readable
from jaxface.pipelines.sources import find_images, read_list, write_list

pytestmark = pytest.mark.usefixtures("no_user_cache")


def test_images_come_from_folders_patterns_and_lists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.PNG", "a.jpg", "c/d.webp", "c/e.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    inside = lambda *names: [str(tmp_path / name) for name in names]
    assert find_images(".") == inside("a.jpg", "b.PNG", "c/d.webp")
    assert find_images("*") == inside("a.jpg", "b.PNG")  # and not the folder
    (tmp_path / "c" / "round").symlink_to("..")
    assert find_images("**/*.[jw]*") == inside("a.jpg", "c/d.webp")
    Path("list.txt").write_text("b.PNG\r\n\nmissing.jpg\n./b.PNG\na.jpg\n")
    assert find_images("list.txt") == inside("b.PNG", "missing.jpg", "a.jpg")
    for start in (b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"):
        Path("list.txt").write_bytes(start + b"b.PNG\r\na.jpg")
        assert find_images("list.txt") == inside("b.PNG", "a.jpg")
    odd = ["/a b", "/line\nbreak", os.fsdecode(b"/\xff.jpg")]
    write_list(Path("kept"), odd)
    assert read_list(Path("kept")) == odd
    assert readable(odd[2]) == "/\\xff.jpg"


@pytest.mark.parametrize(
    "given, said",
    [
        ("empty", "no image in the folder empty"),
        ("none/*.jpg", "no file matches none/*.jpg"),
        ("missing", "missing: no such folder or list of images"),
        ("empty.txt", "no line in the list empty.txt"),
        ("image.png", "image.png: takes a folder, or a text file with a path in each line; this is an image"),
        ("large.png", "large.png: takes a folder, or a text file with a path in each line; this is an image"),
        ("noise", "noise: takes a folder, or a text file with a path in each line; no line is a file's"),
    ],
)
def test_what_names_no_image_is_refused_in_a_line(jaxface, tmp_path, given, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").touch()
    stub_detector.paint(tmp_path / "image.png", (1, 2, 3))
    Image.new("1", (12_000, 10_000)).save(tmp_path / "large.png")
    (tmp_path / "image.png").write_bytes((tmp_path / "image.png").read_bytes() + b"\nlarge.png\n")
    (tmp_path / "noise").write_bytes(b"\xff\xd9\n.\n/\nempty\n")
    result = jaxface("dataset", given, "-o", "out")
    assert (result.exit_code, result.stderr) == (2, f"Error: Invalid value: {said}\n")
    assert not (tmp_path / "out").exists()
