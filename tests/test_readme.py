"""The Python of the README and of the documentation is run as it stands: each page's blocks one after the other."""

import re
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/index.md", "docs/jax.md", "docs/solvers.md", "docs/failures.md", "docs/video.md")


def run(blocks, name):
    """The names that code leaves."""
    names = {}
    for block in blocks:
        exec(compile(block, name, "exec"), names)
    return names


@pytest.fixture
def photo(tmp_path, monkeypatch, run_once):
    """A folder to work in, with the photograph that the pages speak of."""
    shutil.copy(str(files("jaxface.assets") / "astronaut.png"), tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_site_shows_every_file_that_a_page_leads_to():
    shown = set(re.findall(r"::: ([\w.]+)", (ROOT / "docs/code.md").read_text()))
    for page in (ROOT / "docs").glob("*.md"):
        for path in re.findall(r"\]\(\.\./(jaxface/[\w/]+)\.py\)", page.read_text()):
            assert path.replace("/", ".") in shown, (page.name, path)


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_run(photo, page):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert len(blocks) >= 2
    names = run(blocks, page)
    if page == "README.md":
        assert (photo / "face.glb").stat().st_size > 100_000
        assert names["results"].identity.shape == (1, 100)
