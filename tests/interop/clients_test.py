"""Clients of beanstalkd against a server on 127.0.0.1:11300, the port that they have built in.

    clients_test.py SUITE SERVER...    e.g. clients_test.py fivebeans beanstalkd

Starts the server with -l and -p. The port must be free: the Bazel tests have their own network.
What fails must be exactly what fails against beanstalkd itself: KNOWN_FAILURES.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

# Where it really is: Bazel's links give each file two paths, and fivebeans compares them.
NODE = (pathlib.Path(__file__).parent / "node" / "uses.js").resolve().parent
MODULES = NODE / "node_modules"
ADDRESS = ("127.0.0.1", 11300)
PATIENCE_S = 30
SUITE_S = 240

# By suite, with the reason.
KNOWN_FAILURES = {
    # It expects the name of an errno where Node gives its number.
    "fivebeans": {"FiveBeansWorker starting & stopping emits the error event on failure"},
}


def run(command, folder):
    """Runs a program of a suite; returns its exit code and what it wrote to stdout."""
    ended = subprocess.run(command, cwd=folder, timeout=SUITE_S, stdout=subprocess.PIPE,
                           check=False)
    return ended.returncode, ended.stdout.decode(errors="replace")


def mocha(package):
    """Runs the tests that an npm package brings along.

    Returns the titles of those that passed and those that failed.
    """
    _, said = run(["node", str(MODULES / "mocha/bin/_mocha"), "-t", "8000", "-R", "json", "test/"],
                  MODULES / package)
    begin = said.find("{\n  \"stats\"")
    if begin < 0:
        raise RuntimeError(f"mocha did not report: {said[-2000:]}")
    report, _ = json.JSONDecoder().raw_decode(said[begin:])
    for failure in report["failures"]:
        print(f"{failure['fullTitle']}: {failure.get('err', {}).get('message')}")
    return ({test["fullTitle"] for test in report["passes"]},
            {test["fullTitle"] for test in report["failures"]})


def programs(command, files):
    """Runs each file by itself. Returns the names of those that ended well, and of the others."""
    passed, failed = set(), set()
    for file in files:
        code, said = run([*command, str(file)], file.parent)
        (failed if code else passed).add(file.name)
        if code:
            print(f"{file.name}: exit code {code}: {said[-2000:]}")
    return passed, failed


SUITES = {
    "fivebeans": lambda: mocha("fivebeans"),
    "jackd": lambda: mocha("jackd"),
    "nodestalker": lambda: programs(
        ["node"], sorted((MODULES / "nodestalker/tests").glob("test_*.js"))),
    "node_uses": lambda: programs(["node"], [NODE / "uses.js"]),
    "ruby_uses": lambda: programs(
        ["ruby"], [pathlib.Path(__file__).parent.absolute() / "beaneater_uses.rb"]),
}


def await_server(process):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(ADDRESS, timeout=1).close()
            return
        except OSError:
            try:
                process.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                pass
    raise RuntimeError(f"no server: {process.args}")


def main(suite, *server):
    if suite != "ruby_uses" and not MODULES.exists():
        raise RuntimeError(f"{MODULES} is missing: run tools/setup")
    server = [os.path.abspath(word) if "/" in word else word for word in server]
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        # Of the clients too: none writes into the home of who runs this.
        os.environ["HOME"] = folder
        process = subprocess.Popen([*server, "-l", ADDRESS[0], "-p", str(ADDRESS[1])])
        try:
            await_server(process)
            passed, failed = SUITES[suite]()
        finally:
            process.kill()
            process.wait()
    known = KNOWN_FAILURES.get(suite, set())
    print(f"{suite}: {len(passed)} passed, {len(failed)} failed, {len(known)} of them known")
    for title in sorted(known - failed):
        print(f"known to fail, but did not: {title}")
    return 0 if passed and failed == known else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
