"""`holdfast beanstalkd` as a process: its names, sockets, directory and mistakes.

    dropin_process_test.py HOLDFAST LIBPOWERCUT POWERCUT_RESTORE
"""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from tests.conformance import run  # noqa: E402

HOLDFAST, LIBPOWERCUT, POWERCUT_RESTORE = (os.path.abspath(path) for path in sys.argv[1:4])
del sys.argv[1:4]
PATIENCE_S = 30


class Client:
    """A connection of a test, that reads lines."""

    def __init__(self, connection):
        connection.settimeout(PATIENCE_S)
        self._connection = connection
        self._lines = connection.makefile("rb")

    def line(self):
        return self._lines.readline().decode().removesuffix("\r\n")

    def ask(self, text):
        self._connection.sendall(text.encode() + b"\r\n")
        return self.line()

    def data(self, command):
        size = int(self.ask(command).split()[1])
        return self._lines.read(size + 2).decode()

    def close(self):
        self._lines.close()
        self._connection.close()


class DropInTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir="/tmp")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def client(self, address):
        client = Client(socket.create_connection(address, timeout=PATIENCE_S))
        self.addCleanup(client.close)
        return client

    def server(self, *flags):
        return run.beanstalkd([HOLDFAST, "beanstalkd"], flags, self.folder)

    def fails(self, *flags):
        ended = subprocess.run([HOLDFAST, "beanstalkd", *flags], capture_output=True, text=True,
                               timeout=PATIENCE_S, check=False)
        return ended.returncode, ended.stderr

    def test_a_link_named_beanstalkd_is_one(self):
        link = os.path.join(self.folder, "beanstalkd")
        os.symlink(HOLDFAST, link)
        said = subprocess.run([link, "-v"], capture_output=True, text=True, check=True).stdout
        self.assertRegex(said, r"^beanstalkd 1\.13\.0\+holdfast\.\d")
        with run.beanstalkd([link], (), self.folder) as server:
            self.assertEqual(self.client(server.address).ask("list-tube-used"), "USING default")

    def test_it_takes_the_socket_that_it_is_handed(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
            # Connects before there is a server.
            client = self.client(address)
            script = (f'LISTEN_PID=$$ LISTEN_FDS=1 exec "{HOLDFAST}" beanstalkd '
                      f'3<&{listener.fileno()}')
            process = subprocess.Popen(["/bin/bash", "-c", script],
                                       pass_fds=(listener.fileno(),))
        try:
            self.assertEqual(client.ask("list-tube-used"), "USING default")
        finally:
            process.kill()
            process.wait()

    def test_it_listens_on_a_unix_socket(self):
        path = os.path.join(self.folder, "socket")
        process = subprocess.Popen([HOLDFAST, "beanstalkd", "-l", "unix:" + path])
        try:
            while not os.path.exists(path):
                self.assertRaises(subprocess.TimeoutExpired, process.wait, 0.02)
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(path)
            client = Client(connection)
            self.addCleanup(client.close)
            self.assertEqual(client.ask("put 0 0 60 1\r\nx"), "INSERTED 1")
        finally:
            process.kill()
            process.wait()

    def test_with_a_directory_everything_answered_outlives_a_kill(self):
        with self.server("-f0", "-b", "{folder}") as server:
            client = self.client(server.address)
            self.assertEqual(client.ask("put 9 0 60 1\r\na"), "INSERTED 1")
            self.assertEqual(client.ask("put 5 0 60 1\r\nb"), "INSERTED 2")
            self.assertEqual(client.ask("put 7 0 60 1\r\nc"), "INSERTED 3")
            self.assertEqual(client.ask("reserve"), "RESERVED 2 1")
            self.assertEqual(client.line(), "b")
            self.assertEqual(client.ask("release 2 8 0"), "RELEASED")
            self.assertEqual(client.ask("delete 3"), "DELETED")
        # The context ends with SIGKILL.
        with self.server("-f0", "-b", "{folder}") as server:
            client = self.client(server.address)
            stats = client.data("stats-job 2")
            for line in ("pri: 8", "reserves: 1", "releases: 1", "state: ready"):
                self.assertIn(f"\n{line}\n", stats)
            self.assertEqual(client.ask("delete 3"), "NOT_FOUND")
            self.assertEqual(client.ask("put 0 0 60 1\r\nd"), "INSERTED 4")

    def cut_power(self, talk):
        """Runs a server with -f0 over `talk`, cuts its power, and returns its folder as on disk."""
        folder = os.path.join(self.folder, "disk")
        journal = os.path.join(self.folder, "journal")
        for path in (folder, journal):
            os.mkdir(path)
        program = ["/usr/bin/env", f"LD_PRELOAD={LIBPOWERCUT}", f"HOLDFAST_POWERCUT_ROOT={folder}",
                   f"HOLDFAST_POWERCUT_JOURNAL={journal}", HOLDFAST, "beanstalkd"]
        with run.beanstalkd(program, ["-f0", "-b", folder], self.folder) as server:
            talk(self.client(server.address))
        subprocess.run([POWERCUT_RESTORE, folder, journal], check=True, capture_output=True)
        return folder

    def test_with_f0_everything_answered_but_reservations_outlives_a_power_cut(self):
        def talk(client):
            for job in range(1, 4):
                self.assertEqual(client.ask("put 0 0 60 1\r\nx"), f"INSERTED {job}")
            for job in range(1, 4):
                self.assertEqual(client.ask("reserve"), f"RESERVED {job} 1")
                self.assertEqual(client.line(), "x")
                if job == 1:
                    self.assertEqual(client.ask("delete 1"), "DELETED")
                if job == 2:
                    self.assertEqual(client.ask("release 2 7 0"), "RELEASED")
        folder = self.cut_power(talk)
        with run.beanstalkd([HOLDFAST, "beanstalkd"], ["-f0", "-b", folder], self.folder) as server:
            client = self.client(server.address)
            self.assertEqual(client.ask("peek 1"), "NOT_FOUND")
            stats = client.data("stats-job 2")
            for line in ("pri: 7", "reserves: 1", "releases: 1", "state: ready"):
                self.assertIn(f"\n{line}\n", stats)
            self.assertIn("\nstate: ready\n", client.data("stats-job 3"))

    def test_a_reservation_is_on_disk_soon(self):
        def talk(client):
            self.assertEqual(client.ask("put 0 0 60 1\r\nx"), "INSERTED 1")
            self.assertEqual(client.ask("reserve"), "RESERVED 1 1")
            self.assertEqual(client.line(), "x")
            # Longer than it may take: nothing else is to be heard from the server meanwhile.
            self.assertEqual(client.ask("watch other"), "WATCHING 2")
            self.assertEqual(client.ask("ignore default"), "WATCHING 1")
            self.assertEqual(client.ask("reserve-with-timeout 2"), "TIMED_OUT")
        folder = self.cut_power(talk)
        with run.beanstalkd([HOLDFAST, "beanstalkd"], ["-f0", "-b", folder], self.folder) as server:
            self.assertIn("\nreserves: 1\n", self.client(server.address).data("stats-job 1"))

    def test_without_one_nothing_is_kept(self):
        for _ in range(2):
            with self.server() as server:
                client = self.client(server.address)
                self.assertEqual(client.ask("put 0 0 60 1\r\nx"), "INSERTED 1")
        self.assertEqual(os.listdir(self.folder), ["log"])

    def test_mistakes_are_told(self):
        code, told = self.fails("-b", self.folder + "/none")
        self.assertEqual(code, 1)
        self.assertIn("/none", told)
        code, told = self.fails("-x")
        self.assertEqual(code, 5)
        self.assertIn("unknown flag: -x", told)
        code, told = self.fails("-u", "nobody-of-this-name", "-p", "0", "-l", "127.0.0.1")
        self.assertEqual(code, 1)
        self.assertIn("nobody-of-this-name", told)


if __name__ == "__main__":
    unittest.main()
