"""A cluster of RabbitMQ, of Debian's package, to measure beside ours."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from tests.bench.measured import STEP_SECONDS_MAX, Failed, free_port

SERVER = pathlib.Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
CONTROL = pathlib.Path("/usr/lib/rabbitmq/bin/rabbitmqctl")
START_SECONDS_MAX = 120
SETTLE_SECONDS = 5


class RabbitMq:
    """Nodes on loopback with a name service of their own, until the context ends."""

    def __init__(self, load, folder, nodes=3):
        if not SERVER.exists():
            raise Failed("RabbitMQ is not there: as root, apt-get install rabbitmq-server")
        self._load = load
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="rabbitmq", dir=folder))
        self._names = [f"holdfast-bench-{node}@localhost" for node in range(1, nodes + 1)]
        self._ports = [free_port() for _ in self._names]
        self._processes = []
        (self._folder / "plugins").write_text("[].\n")
        self._environment = {
            **os.environ, "HOME": str(self._folder), "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_START_ARGS": "-start_epmd false",
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins")}

    def __enter__(self):
        try:
            self._start("names", ["epmd"], {})
            for name, port in zip(self._names, self._ports):
                self._start(name, [SERVER],
                            {"RABBITMQ_NODENAME": name, "RABBITMQ_NODE_PORT": str(port),
                             "RABBITMQ_DIST_PORT": str(free_port())})
            for name in self._names:
                self._await(name)
            for name in self._names[1:]:
                for command in (("stop_app",), ("join_cluster", self._names[0]), ("start_app",)):
                    self._control(name, *command)
        except BaseException:
            self.__exit__()
            raise
        time.sleep(SETTLE_SECONDS)
        return self

    def __exit__(self, *_):
        for process in reversed(self._processes):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def measure(self, measurement, *arguments):
        """What amqp_load prints, of the node that leads the queue."""
        command = [str(word) for word in (self._load, measurement, "--port", self._ports[0],
                                          *arguments)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=STEP_SECONDS_MAX,
                             check=False)
        if run.returncode != 0:
            raise Failed(f"{' '.join(command[1:])}: {run.stdout}{run.stderr}")
        return json.loads(run.stdout)

    def _start(self, name, command, environment):
        with open(self._folder / f"output-{name}", "ab") as output:
            self._processes.append(subprocess.Popen(
                command, env={**self._environment, **environment}, stdout=output, stderr=output,
                start_new_session=True))

    def _control(self, name, *command):
        run = subprocess.run([CONTROL, "-n", name, *command], env=self._environment, check=False,
                             capture_output=True, text=True, timeout=START_SECONDS_MAX)
        if run.returncode != 0:
            raise Failed(f"rabbitmqctl {' '.join(command)}: {run.stdout}{run.stderr}")

    def _await(self, name):
        end = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                return self._control(name, "await_startup")
            except Failed:
                if time.monotonic() > end:
                    raise
                time.sleep(1)
