"""The README's Python is run as it stands, one block after the other."""

import re
import shutil
from importlib.resources import files
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_python_blocks_run(tmp_path, monkeypatch):
    shutil.copy(str(files("jaxface.assets") / "astronaut.png"), tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 3
    names = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    assert (tmp_path / "face.glb").stat().st_size > 100_000
    assert names["results"].identity.shape == (1, 100)
