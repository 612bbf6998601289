"""Parts of the suite that need a process of their own, for a cold start, other flags or their own memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jaxface

LIMIT_SECONDS = 900


def in_new_process(module: str, *arguments: str, **environment: str) -> dict:
    """Run ``python -m module`` and return the JSON that its last line is.

    Raises:
      RuntimeError: it failed, the message ends with what it said; or it did not end.
    """
    path = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(jaxface.__file__).parents[1])])
    known = os.environ | {"PYTHONPATH": os.pathsep.join([path, os.environ.get("PYTHONPATH", "")])} | environment
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(command, env=known, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"python -m {module} did not end within {LIMIT_SECONDS} s") from None
    if done.returncode:
        raise RuntimeError(f"python -m {module} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
