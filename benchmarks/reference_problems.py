"""The solver alone on outside reference problems (``benchmarks.reference``): sets solved to four digits."""

from benchmarks.findings import Findings, Setup
from benchmarks.metrics import Metric
from benchmarks.reference import compare

OURS, SCIPY = "jaxface", "SciPy lm"


def measure(setup: Setup) -> Findings:
    results = compare.run()["results"]
    return Findings(
        [
            Metric(
                f"{column} to four digits, float64",
                "1",
                float(ours["reached"]),
                "higher",
                0.0,
                float(results["float64"][SCIPY][column]["reached"]),
                portable=True,
                includes=f"of {ours['sets']} sets; reach is SciPy's number",
            )
            for column, ours in results["float64"][OURS].items()
        ],
        {"reference": [results]},
    )
