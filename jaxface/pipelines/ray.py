"""The engine for many machines: the stages as operators of Ray Data over the parts, whose folder all machines see."""

# pyright: reportAttributeAccessIssue=false
# It takes this file for the package ray.

import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from time import perf_counter

from jaxface.pipelines import stages
from jaxface.pipelines.local import Workers, chunks
from jaxface.pipelines.stages import Part, Settings, Tally

_FIT_CPUS = _WRITE_CPUS = 0.5
"""Of a processor. A fit takes a hundredth of a detection's time, so one process fits for many that search."""


def run(parts: Sequence[Part], folder: Path, settings: Settings, processes: int | None) -> Iterator[Tally]:
    """Write the files of parts, in any order, and tell what each came to; the rows are those of the local engine.

    A part whose worker or machine is lost is done again by another.

    Args:
      processes: how many search images; by default, all of the cluster's processors but one.

    Raises:
      ValueError: Ray is not installed.
      OSError: a file cannot be written.
    """
    try:
        import ray
    except ImportError:
        raise ValueError("the engine ray needs the package ray: pip install 'jaxface[ray]'") from None
    if not parts:
        return
    with ExitStack() as held:
        if not ray.is_initialized():
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a tool that looks at faces reports to nobody
            ray.init(log_to_driver=False)
            held.callback(ray.shutdown)
        has = ray.cluster_resources()
        pool = lambda most: ray.data.ActorPoolStrategy(min_size=1, max_size=most)
        searching = min(processes or max(1, int(has["CPU"]) - 1), len(parts))
        fit_on = {"num_gpus": 1} if has.get("GPU") else {"num_cpus": _FIT_CPUS}
        work = ray.data.from_items([{"part": pickle.dumps(part)} for part in parts], override_num_blocks=len(parts))
        done = (
            work.map(_Search, fn_constructor_args=(settings,), compute=pool(searching), num_cpus=1)
            .map(_Fit, fn_constructor_args=(settings,), compute=pool(1), **fit_on)
            .map(_write, fn_args=(str(folder.absolute()),), num_cpus=_WRITE_CPUS)
        )
        for row in done.iter_rows():
            yield pickle.loads(row["tally"])


class _Search:
    def __init__(self, settings: Settings):
        self._workers = Workers(settings, 1).__enter__()  # an image that kills its reader leaves this process alone

    def __call__(self, row: dict) -> dict:
        found = self._workers.search(chunks(pickle.loads(row["part"])))
        return row | {"found": pickle.dumps(list(chain.from_iterable(found)))}


class _Fit:
    def __init__(self, settings: Settings):
        os.environ.pop("OMP_NUM_THREADS", None)  # Ray's: with it, a fit's last bits are not the local engine's
        self._settings = settings
        self._tally = stages.compile_fit(settings)

    def __call__(self, row: dict) -> dict:
        found, started = pickle.loads(row["found"]), perf_counter()
        rows = stages.fit_part(found, self._settings)
        tally = self._tally + stages.searched(found) + stages.fitted(rows, perf_counter() - started)
        self._tally = Tally()
        return {"part": row["part"], "rows": pickle.dumps(rows), "tally": pickle.dumps(tally)}


def _write(row: dict, folder: str) -> dict:
    started = perf_counter()
    stages.write_part(Path(folder), pickle.loads(row["part"]), pickle.loads(row["rows"]))
    return {"tally": pickle.dumps(pickle.loads(row["tally"]) + stages.written(perf_counter() - started))}
