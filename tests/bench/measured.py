"""Building what is measured, asking it, and processes whose cost is read from /proc."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
START_SECONDS_MAX = 60
STEP_SECONDS_MAX = 900
MIB = 1 << 20


class Failed(Exception):
    """The measurement cannot go on."""


def build(*targets):
    """Builds optimised programs; their paths, in order."""
    subprocess.run(["bazel", "build", "--config=opt", *targets], cwd=ROOT, check=True)
    folder = subprocess.run(["bazel", "info", "--config=opt", "bazel-bin"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.strip()
    return [pathlib.Path(folder, target.lstrip("/").replace(":", "/")) for target in targets]


def free_port():
    """A port of 127.0.0.1 that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def output(*command, environment=None):
    """What a program prints."""
    words = [str(word) for word in command]
    run = subprocess.run(words, env=environment, capture_output=True, text=True,
                         timeout=STEP_SECONDS_MAX, check=False)
    if run.returncode != 0:
        raise Failed(f"{' '.join(words[1:])}: {run.stdout}{run.stderr}")
    return run.stdout


def client(binary, endpoint, *arguments):
    """What a command of the client prints, as JSON."""
    return json.loads(output(binary, *arguments, "--format", "json", "--endpoint", endpoint))


def bench(binary, endpoint, scenario, *arguments):
    """What `holdfast bench` measured; Failed if anything went wrong in it."""
    result = client(binary, endpoint, "bench", scenario, *arguments)
    if result["failures"]:
        raise Failed(f"bench {scenario}: {result['first_failure']}")
    return result


class Process:
    """A server, with what it starts, until kill(). What it says goes to the file `log`."""

    def __init__(self, command, log, environment=None):
        self._command = [str(word) for word in command]
        self._log = pathlib.Path(log)
        with open(self._log, "ab") as said:
            self._process = subprocess.Popen(self._command, env=environment, stdout=said,
                                             stderr=said, start_new_session=True)

    def await_start(self, ready):
        """What `ready` returns once that is something; it may raise Failed, OSError, ValueError."""
        end = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < end and self._process.poll() is None:
            try:
                result = ready()
                if result:
                    return result
            except (Failed, OSError, ValueError):
                pass
            time.sleep(0.002)
        raise Failed(f"{self._command[0]} does not start: {self._log.read_text()[-1000:]}")

    def kill(self):
        with contextlib.suppress(ProcessLookupError):  # it has ended, and has been noticed
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def cpu_seconds(self):
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def written_bytes(self):
        return self._field("io", "write_bytes")

    def rss_bytes(self):
        return self._field("status", "VmRSS") * 1024

    def rss_peak_bytes(self):
        """Since forget_peak()."""
        return self._field("status", "VmHWM") * 1024

    def forget_peak(self):
        pathlib.Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def _proc(self, name):
        return pathlib.Path(f"/proc/{self._process.pid}/{name}").read_text()

    def _field(self, name, field):
        for line in self._proc(name).splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise Failed(f"/proc has no {field}")
