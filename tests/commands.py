"""What the command-line tests expect of any run."""

from pathlib import Path

import jaxface.cli.session as session

WRITTEN = {
    "face.obj",
    "face.mtl",
    "face_texture.png",
    "face.ply",
    "face.glb",
    "overlay.png",
    "fit.npz",
    "fit.json",
}
PACKAGE = Path(session.__file__).parents[2]
"""Where processes of their own find the package that is tested."""


def names(folder):
    return {path.name for path in folder.iterdir()}


def one_line(result, code):
    """The line on stderr of a run that ended with this code and printed nothing else."""
    assert result.exit_code == code
    assert result.stderr.count("\n") == 1 and result.stderr.endswith("\n")
    assert "Traceback" not in result.output
    return result.stderr.strip()
