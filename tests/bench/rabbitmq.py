"""A cluster of RabbitMQ, of Debian's package, to measure beside ours."""

import json
import os
import pathlib
import shutil
import tempfile
import time

from tests.bench.measured import Failed, Process, free_port, output

SERVER = pathlib.Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
CONTROL = pathlib.Path("/usr/lib/rabbitmq/bin/rabbitmqctl")
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
            nodes = [self._start(name, [SERVER],
                                 {"RABBITMQ_NODENAME": name, "RABBITMQ_NODE_PORT": str(port),
                                  "RABBITMQ_DIST_PORT": str(free_port())})
                     for name, port in zip(self._names, self._ports)]
            for name, node in zip(self._names, nodes):
                node.await_start(lambda name=name: self._control(name, "await_startup") or True)
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
            process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def measure(self, measurement, *arguments):
        """What amqp_load prints, of the node that leads the queue."""
        return json.loads(output(self._load, measurement, "--port", self._ports[0], *arguments))

    def _start(self, name, command, environment):
        process = Process(command, self._folder / f"output-{name}",
                          {**self._environment, **environment})
        self._processes.append(process)
        return process

    def _control(self, name, *command):
        return output(CONTROL, "-n", name, *command, environment=self._environment)
