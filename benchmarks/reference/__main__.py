"""Print how many reference sets each solver gets to four digits, and which it does not."""

from rich.console import Console
from rich.table import Table

from benchmarks.reference.compare import ENOUGH_DIGITS, run


def main() -> None:
    console = Console()
    outcome = run()
    console.print(" ".join(f"{name} {version}" for name, version in outcome["versions"].items()))
    for precision, solvers in outcome["results"].items():
        names = next(iter(solvers.values()))
        sizes = [f"{name}\n(of {column['sets']})" for name, column in names.items()]
        table = Table("solver", *sizes, title=f"{precision}: sets with {ENOUGH_DIGITS} correct digits")
        for solver, columns in solvers.items():
            table.add_row(solver, *(str(column["reached"]) for column in columns.values()))
        console.print(table)
        for solver, columns in solvers.items():
            for name, column in columns.items():
                missed = [f"{problem} {column['digits'][problem]:.1f}" for problem in column["failures"]]
                console.print(f"{solver}, {name}:", ", ".join(missed) or "none missed")


if __name__ == "__main__":
    main()
