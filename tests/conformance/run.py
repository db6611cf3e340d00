"""Holds every conversation of a folder with a fresh server each.

    run.py FOLDER beanstalkd                 Debian's beanstalkd
    run.py FOLDER holdfast PATH [FLAG...]    `holdfast serve` at PATH, with further flags
    run.py FOLDER cluster PATH [FLAG...]     three nodes of it, spoken to by turns
    run.py FOLDER dropin PATH [FLAG...]      `holdfast beanstalkd` at PATH; {folder} in a flag is
                                             an empty folder of its own

Prints each conversation's name and result; exit status 0 if all were held.
"""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from tests.conformance import conversation  # noqa: E402

START_S = 60
BODY_BYTES_MAX = 65535


class Server:
    """A process that speaks the protocol on `address` while the context lasts."""

    def __init__(self, command, address_of, folder):
        self._command = command
        self._address_of = address_of
        self._log = pathlib.Path(folder) / "log"
        self.address = None

    def __enter__(self):
        self.launch()
        return self.await_start()

    def launch(self):
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def await_start(self):
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            self.address = self._address_of()
            if self.address and self._accepts():
                return self
            try:
                self._process.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                pass
        self.__exit__()
        raise RuntimeError(f"{self._command[0]} did not start: {self._log.read_text()}")

    def _accepts(self):
        try:
            socket.create_connection(self.address, timeout=1).close()
            return True
        except OSError:
            return False

    def drain(self):
        self._process.send_signal(signal.SIGUSR1)

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def beanstalkd(program, flags, folder):
    port = free_port()
    command = [*program, "-l", "127.0.0.1", "-p", str(port), "-z", str(BODY_BYTES_MAX),
               *(flag.replace("{folder}", folder) for flag in flags)]
    return Server(command, lambda: ("127.0.0.1", port), folder)


def holdfast(path, flags, folder):
    ports = pathlib.Path(folder) / "data" / "ports.json"

    def address():
        try:
            host, _, port = json.loads(ports.read_text())["beanstalk"].rpartition(":")
            return host, int(port)
        except (OSError, ValueError):
            return None

    command = [path, "serve", "--data-dir", str(ports.parent),
               *(() if "--listen" in flags else ("--listen", "127.0.0.1:0")),
               "--listen-beanstalk", "127.0.0.1:0", "--max-body-bytes", str(BODY_BYTES_MAX), *flags]
    return Server(command, address, folder)


class Cluster:
    """Three nodes; `address` is that of one of them while the context lasts."""

    NODES = (1, 2, 3)

    def __init__(self, path, flags, folder, spoken_to):
        members = ",".join(f"{node}=127.0.0.1:{free_port()}" for node in self.NODES)
        self._servers = {}
        for node in self.NODES:
            own = pathlib.Path(folder, str(node))
            own.mkdir()
            listen = members.split(",")[node - 1].partition("=")[2]
            self._servers[node] = holdfast(
                path, ["--node-id", str(node), "--listen", listen, "--initial-cluster", members,
                       *flags], str(own))
        self._spoken_to = self._servers[spoken_to]
        self._started = contextlib.ExitStack()
        self.drain = self._spoken_to.drain
        self.address = None

    def __enter__(self):
        with contextlib.ExitStack() as started:
            for server in self._servers.values():
                server.launch()
                started.push(server)
            for server in self._servers.values():  # which wait for each other
                server.await_start()
            self.address = self._spoken_to.address
            self._await_service()
            self._started = started.pop_all()
        return self

    def _await_service(self):
        """Until it answers what needs a leader."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with socket.create_connection(self.address, timeout=START_S) as client:
                client.sendall(b"kick-job 1\r\n")  # which no statistic counts
                if client.recv(100) == b"NOT_FOUND\r\n":
                    return
        raise RuntimeError("the cluster does not serve")

    def __exit__(self, *_):
        self._started.close()


def main(folder, kind, *rest):
    if kind == "beanstalkd":
        version = subprocess.run(["/usr/bin/beanstalkd", "-v"], capture_output=True, text=True,
                                 check=True).stdout.split()[-1]
        tags = ("beanstalkd", ".".join(version.split(".")[:2]))
    else:
        tags = ("holdfast", "1.13", "cluster" if kind == "cluster" else "alone")
    failed = 0
    files = sorted(pathlib.Path(folder).glob("*.txt"))
    for file in files:
        with tempfile.TemporaryDirectory() as scratch:
            if kind == "beanstalkd":
                server = beanstalkd(["/usr/bin/beanstalkd"], rest, scratch)
            elif kind == "cluster":
                node = Cluster.NODES[files.index(file) % len(Cluster.NODES)]
                server = Cluster(rest[0], rest[1:], scratch, node)
            elif kind == "dropin":
                server = beanstalkd([rest[0], "beanstalkd"], rest[1:], scratch)
            else:
                server = holdfast(rest[0], rest[1:], scratch)
            with server:
                try:
                    steps = conversation.parse(file.read_text(), tags)
                    conversation.Conversation(server.address, server.drain).hold(steps)
                    print(f"held    {file.name}", flush=True)
                except (conversation.Mismatch, ValueError) as error:
                    failed += 1
                    print(f"FAILED  {file.name}: {error}", flush=True)
    print(f"{len(files) - failed} of {len(files)} conversations held with {' '.join(tags)}")
    return 0 if files and not failed else 1


if __name__ == "__main__":
    os.environ.setdefault("TMPDIR", "/tmp")
    sys.exit(main(*sys.argv[1:]))
