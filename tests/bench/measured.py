"""Building what is measured, and processes whose cost is read from /proc."""

import os
import pathlib
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
START_SECONDS_MAX = 60
MIB = 1 << 20


class Failed(Exception):
    """The measurement cannot go on."""


def build(*targets):
    """Builds optimised programs; their paths, in order."""
    subprocess.run(["bazel", "build", "--config=opt", *targets], cwd=ROOT, check=True)
    folder = subprocess.run(["bazel", "info", "--config=opt", "bazel-bin"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.strip()
    return [pathlib.Path(folder, target.lstrip("/").replace(":", "/")) for target in targets]


class Process:
    """A server, until kill(). What it says goes to the file `log`."""

    def __init__(self, command, log):
        self._command = [str(word) for word in command]
        self._log = pathlib.Path(log)
        with open(self._log, "ab") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=output)

    def await_start(self, ready):
        """What `ready` returns once that is something; it may raise OSError and ValueError."""
        end = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < end and self._process.poll() is None:
            try:
                result = ready()
                if result:
                    return result
            except (OSError, ValueError):
                pass
            time.sleep(0.002)
        raise Failed(f"{self._command[0]} does not start: {self._log.read_text()[-1000:]}")

    def kill(self):
        self._process.send_signal(signal.SIGKILL)
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
