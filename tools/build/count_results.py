"""Counts the test results of Bazel commands: `count_results.py FOLDER`.

For each command NAME the folder has NAME.json, Bazel's build events, and NAME.status, its exit
status. Prints what failed, then "N passed, N failed"; the exit status is 1 if anything failed.
A command that did not build all it should is one failure more.
"""

import json
import pathlib
import sys

# Exit statuses of Bazel that the results of the tests tell all about: all well, a test failed,
# no test was found. Any other says that something was not built.
_TOLD_BY_RESULTS = (0, 3, 4)


def read_events(path):
    """Yields the build events of one command; a command that died may leave a half line."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def count(name, events, status):
    """Returns (passed, failures): a number, and one line for each failure."""
    passed = 0
    failures = []
    for event in events:
        if "testSummary" not in event:
            continue
        result = event["testSummary"].get("overallStatus", "NO_STATUS")
        if result == "PASSED":
            passed += 1
        else:
            failures.append(f"{name}: {event['id']['testSummary']['label']}: {result}")
    if status not in _TOLD_BY_RESULTS:
        failures.append(f"{name}: bazel ended with {status}")
    return passed, failures


def main(folder):
    passed = 0
    failures = []
    for status_file in sorted(pathlib.Path(folder).glob("*.status")):
        name = status_file.stem
        events = read_events(status_file.with_suffix(".json"))
        one_passed, one_failures = count(name, events, int(status_file.read_text()))
        passed += one_passed
        failures += one_failures
    if passed == 0 and not failures:
        failures.append("no test was run")
    for failure in failures:
        print(failure)
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
