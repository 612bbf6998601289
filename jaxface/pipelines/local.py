"""The engine for one machine: images are decoded and searched in worker processes, faces fitted and written here."""

import multiprocessing
import multiprocessing.util
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from multiprocessing.connection import wait
from pathlib import Path
from time import perf_counter

from jaxface.pipelines import stages
from jaxface.pipelines.faces import Finder
from jaxface.pipelines.stages import Found, Part, Settings, Tally

CHUNK = 8
"""Images that a worker is given at a time, ..."""

AHEAD = 8
"""... and how many such are under way for each worker, so that none waits while a part is fitted."""


def run(parts: Sequence[Part], folder: Path, settings: Settings, processes: int | None) -> Iterator[Tally]:
    """Write the files of parts in their order, and tell what was done as it is.

    Args:
      processes: how many search images; by default, as many as there are processors.

    Raises:
      ValueError: the settings ask for what is not there; the message says what.
      OSError: a file cannot be written.
    """
    if not parts:
        return
    with Workers(settings, processes or os.cpu_count() or 1) as workers:
        yield stages.compile_fit(settings)  # while the workers start
        every = workers.search(chunk for part in parts for chunk in chunks(part))
        for part in parts:
            found: list[Found] = []
            for _ in chunks(part):
                just = next(every)
                found += just
                yield stages.searched(just)
            started = perf_counter()
            rows = stages.fit_part(found, settings)
            fitted = perf_counter()
            stages.write_part(folder, part, rows)
            yield stages.fitted(rows, fitted - started) + stages.written(perf_counter() - fitted)


def chunks(part: Part) -> Iterator[Sequence[str]]:
    """A part's images as they are given to workers."""
    return (part.sources[start : start + CHUNK] for start in range(0, len(part.sources), CHUNK))


class Workers:
    """Processes with a detector each. One that dies takes no image but its own with it."""

    def __init__(self, settings: Settings, processes: int):
        self._settings, self._processes = settings, processes
        self._lone: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Workers":
        self._pool = _started(self._processes)
        return self

    def __exit__(self, *_) -> None:
        for pool in (self._pool, self._lone):
            if pool is not None:
                pool.shutdown(cancel_futures=True)

    def search(self, chunks: Iterable[Sequence[str]]) -> Iterator[list[Found]]:
        """What each chunk of images shows, in their order."""
        under_way: deque[tuple[Sequence[str], Future]] = deque()
        for chunk in chunks:
            under_way.append((chunk, self._submit(chunk)))
            if len(under_way) == AHEAD * self._processes:
                yield self._result(*under_way.popleft())
        while under_way:
            yield self._result(*under_way.popleft())

    def _result(self, chunk: Sequence[str], future: Future) -> list[Found]:
        try:
            return future.result()
        except BrokenProcessPool:  # of all that was under way
            return self._apart(chunk)

    def _apart(self, chunk: Sequence[str]) -> list[Found]:
        """What images show in a process that sees nothing else meanwhile, at last one by one: who kills that twice
        has done so, and nothing from outside."""
        for _ in range(1 if len(chunk) > 1 else 2):
            self._lone = self._lone or _started(1)
            try:
                return self._lone.submit(_search, chunk, self._settings).result()
            except BrokenProcessPool:
                self._lone = None
        if len(chunk) > 1:
            return [found for source in chunk for found in self._apart([source])]
        return [Found(chunk[0], error="the process that read it died: it is broken, or too large for the memory")]

    def _submit(self, chunk: Sequence[str]) -> Future:
        try:
            return self._pool.submit(_search, chunk, self._settings)
        except BrokenProcessPool:
            self._pool = _started(self._processes)
            return self._pool.submit(_search, chunk, self._settings)


def _started(processes: int) -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")  # a fork would copy JAX's threads' locks
    pool = ProcessPoolExecutor(processes, spawn, initializer=_end_with_the_parent)
    with _interrupts_held():  # for good in the workers, which inherit it: this process stops them
        for _ in range(processes):
            pool.submit(os.getpid)
    return pool


@contextmanager
def _interrupts_held():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_the_parent() -> None:
    """A killed parent tells its workers nothing: they watch it."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker
    watch = lambda: wait([parent.sentinel]) and os._exit(1)
    threading.Thread(target=watch, daemon=True).start()


def _search(chunk: Sequence[str], settings: Settings) -> list[Found]:
    finder = _opened(settings)
    return [stages.find(finder, source, settings) for source in chunk]


@lru_cache(maxsize=1)
def _opened(settings: Settings) -> Finder:
    """The worker's detector, closed when the process ends."""
    held = ExitStack()
    multiprocessing.util.Finalize(None, held.close, exitpriority=10)
    return held.enter_context(stages.open_finder(settings))
