"""Run docs/notebook.ipynb from top to bottom and keep what it shows: ``python docs/run_notebook.py``."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main():
    path = Path(__file__).with_name("notebook.ipynb")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600).execute(cwd=path.parent)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of the run
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/jpeg" in data:
                data.pop("image/png", None)  # the same picture, ten times as large
    nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
