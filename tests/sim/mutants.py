"""Runs the rows of mutants.txt and prints what caught each mutant.

Needs binaries that were built with --define=mutants=on; tools/mutants builds them. The table must
name every mutant of base/mutant.h.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

# Not resolved: a test sees the files through links.
_HERE = pathlib.Path(__file__).absolute().parent


class Row:
    """One line of the table."""

    def __init__(self, mutant, row, caught_by, seeds, in_ci):
        self.mutant = mutant
        self.row = row
        self.kind, _, self.what = caught_by.partition(":")
        self.seeds = int(seeds)
        self.in_ci = in_ci == "ci"


class Result:
    """What became of a row."""

    def __init__(self, row, caught, how, seconds):
        self.row = row
        self.caught = caught
        self.how = how
        self.seconds = seconds


def read_table(path=_HERE / "mutants.txt"):
    """The rows, in order."""
    lines = [line.partition("#")[0].split() for line in path.read_text().splitlines()]
    return [Row(*line) for line in lines if line]


def mutants_in_code(path):
    """The names of the mutants of base/mutant.h, without their k."""
    body = re.search(r"enum class Mutant[^{]*\{(.*?)\};", path.read_text(), re.DOTALL).group(1)
    names = re.findall(r"^\s*k(\w+)", body, re.MULTILINE)
    return [name for name in names if name not in ("None", "Count")]


def _run_sim(row, binaries):
    """(caught, how) of a row whose mutant the simulator must catch."""
    run = subprocess.run(
        [binaries / "tests/sim/sim", "--mutant", row.mutant, "--profile", row.what, "--seeds",
         f"1..{row.seeds}", "--jobs", "1"],
        capture_output=True, text=True, check=False)
    found = re.search(r'VIOLATION profile=\S+ seed=(\d+) rule="([^"]*)"', run.stdout)
    if found:
        return True, f"{row.what} seed {found.group(1)}: {found.group(2)}"
    if run.returncode != 0:
        return False, f"could not run: {run.stderr.strip()[:100]}"
    return False, f"{row.what}: not within {row.seeds} seeds"


def _run_script(row, binaries):
    """(caught, how) of a row whose mutant a script must show."""
    script = _HERE.parent.parent / "replication/raft/testdata" / row.what
    runner = binaries / "replication/raft/testing/script_runner"
    run = subprocess.run(
        [runner, "--check", "--ignore-log", "--mutant", row.mutant, script],
        capture_output=True, text=True, check=False)
    differs = run.returncode != 0
    return differs, f"script {row.what}" + ("" if differs else ": the output is the same")


def run_row(row, binaries):
    """Runs one row."""
    begin = time.monotonic()
    run = {"sim": _run_sim, "script": _run_script}[row.kind]
    caught, how = run(row, binaries)
    return Result(row, caught, how, time.monotonic() - begin)


def print_table(results):
    """The table, and the number of mutants that nothing has caught."""
    for result in results:
        mark = "caught" if result.caught else "NOT CAUGHT"
        print(f"{result.row.row}  {result.row.mutant:<28} {mark:<10} {result.seconds:7.1f} s  "
              f"{result.how}")
    missed = sum(not result.caught for result in results)
    print(f"{len(results)} mutants, {len(results) - missed} caught, {missed} not")
    return missed


def main():
    """Runs the chosen rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="the folder bazel-bin")
    parser.add_argument("--subset", choices=["all", "ci"], default="all")
    parser.add_argument("--mutant", action="append", default=[])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    rows = [row for row in read_table()
            if (arguments.subset == "all" or row.in_ci)
            and (not arguments.mutant or row.mutant in arguments.mutant)]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(lambda row: run_row(row, arguments.bin), rows))
    return 1 if print_table(results) or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
