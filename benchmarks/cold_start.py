"""What a new process pays before its first fits: ``python -m benchmarks.cold_start`` prints seconds as JSON.

``compile`` is the first call's time less a later one's: tracing, lowering and compiling (or reading JAX's persistent
cache), and the model's Gram matrices. The solver, and jaxopt and SciPy's optimisers with it, is imported before, which
the first call would do else: ``solver`` is how long that takes.
"""

import json
from time import perf_counter

BATCH = 4096


def main() -> None:
    start = perf_counter()
    import jax  # noqa: F401  jaxface loads it when it is first used

    import jaxface

    imported = perf_counter()
    model = jaxface.load_model()
    loaded = perf_counter()
    import jaxface.solvers.structured  # noqa: F401

    ready = perf_counter()
    from benchmarks.inputs import random_faces
    from benchmarks.timing import seconds

    faces = random_faces(model, BATCH)
    first, *later = (seconds(lambda: jaxface.fit_batch(model, faces)) for _ in range(4))
    report = {"import": imported - start, "model": loaded - imported, "solver": ready - loaded}
    print(json.dumps(report | {"compile": first - min(later)}))


if __name__ == "__main__":
    main()
