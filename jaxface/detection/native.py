"""Silence for native libraries, which log to the process's stderr past Python's."""

import os
import sys
from contextlib import contextmanager


@contextmanager
def native_logs_dropped():
    """What is written to the process's stderr within goes nowhere; Python's own is there again afterwards."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
