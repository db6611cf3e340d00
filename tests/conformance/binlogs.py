"""Binlogs as Debian's beanstalkd writes them, and what it makes of them itself."""

import os
import pathlib
import random
import re
import shutil
import socket
import tempfile
import unittest

from tests.conformance import run

PATIENCE_S = 30
BEANSTALKD = "/usr/bin/beanstalkd"


class Client:
    """A connection that asks one thing at a time."""

    def __init__(self, address):
        self._socket = socket.create_connection(address, timeout=PATIENCE_S)
        self._lines = self._socket.makefile("rb")

    def ask(self, text, body=None):
        """Returns the words of the reply to a command, perhaps with a body of bytes."""
        self._socket.sendall(text.encode() + b"\r\n" + (b"" if body is None else body + b"\r\n"))
        return self._lines.readline().decode().split()

    def put_many(self, bodies):
        """Puts jobs without waiting for each reply."""
        self._socket.sendall(b"".join(b"put 0 0 60 %d\r\n%s\r\n" % (len(body), body)
                                      for body in bodies))
        for _ in bodies:
            reply = self._lines.readline()
            if not reply.startswith(b"INSERTED"):
                raise RuntimeError(reply)

    def fetch(self, text):
        """Returns the words of the reply and the data that comes with it, None without."""
        words = self.ask(text)
        if words[0] not in ("OK", "RESERVED", "FOUND"):
            return words, None
        return words, self._lines.read(int(words[-1]) + 2)[:-2]

    def stats_job(self, job):
        """Returns the statistics of a job as a dict of strings; None if there is no such job."""
        _, data = self.fetch(f"stats-job {job}")
        if data is None:
            return None
        return {key: value.strip('"') for key, value in re.findall(r"(\S+): (.*)", data.decode())}

    def close(self):
        self._lines.close()
        self._socket.close()


def beanstalkd(directory, folder, *flags):
    """A beanstalkd that keeps its binlogs in a directory; killed when the context ends."""
    return run.beanstalkd([BEANSTALKD], ("-b", directory, *flags), folder)


def write(directory, folder, steps, seed, file_bytes=20000):
    """Lets beanstalkd do `steps` random commands, so that it writes several files, and kills it.

    Every body is another one. Some delays are over, but not by the binlog. Returns how many jobs
    were put.
    """
    prng = random.Random(seed)
    puts = 0
    soon = []
    with beanstalkd(directory, folder, "-f0", "-s", str(file_bytes)) as server:
        client = Client(server.address)
        tubes = ["default", "mail", "a" * 200]
        for tube in tubes:
            client.ask(f"watch {tube}")
        while steps > 0:
            steps -= 1
            action = prng.choices(["put", "reserve", "delete", "kick"], [60, 60, 5, 5])[0]
            if action == "put":
                puts += 1
                client.ask(f"use {prng.choice(tubes)}")
                body = b"job %d \r\n\0\xff" % puts + bytes(prng.randrange(300))
                delay = prng.choice([0, 0, 0, 1, 5000])
                client.ask(f"put {prng.randrange(5)} {delay} {prng.choice([0, 60, 4000000000])} "
                           f"{len(body)}", body)
                if delay == 1:
                    soon.append(puts)
            elif action == "reserve":
                words, _ = client.fetch("reserve-with-timeout 0")
                if words[0] == "RESERVED":
                    client.ask(prng.choice([f"delete {words[1]}", f"delete {words[1]}",
                                            f"bury {words[1]} 7", f"release {words[1]} 3 9000",
                                            f"release {words[1]} 4 0", f"touch {words[1]}"]))
            elif action == "delete":
                client.ask(f"delete {prng.randrange(1, puts + 2)}")
            else:
                client.ask(prng.choice([f"kick-job {prng.randrange(1, puts + 2)}", "kick 2"]))
        # So that nothing changes by itself while two servers are compared.
        while soon:
            stats = client.stats_job(soon[-1])
            if stats is None or stats["state"] != "delayed" or int(stats["time-left"]) > 1:
                soon.pop()
        client.close()
    return puts


def as_beanstalkd_reads(directory, folder, ids):
    """What beanstalkd says of the jobs after a start with a copy of the directory.

    Returns id -> (statistics, body) of those that it has.
    """
    copy = f"{folder}/copy"
    shutil.copytree(directory, copy)
    with beanstalkd(copy, folder) as server:
        client = Client(server.address)
        found = {}
        for job in ids:
            stats = client.stats_job(job)
            if stats is not None:
                found[job] = (stats, client.fetch(f"peek {job}")[1])
        client.close()
    shutil.rmtree(copy)
    return found


class TestCase(unittest.TestCase):
    """A folder of the test's own, and in it the directory in which beanstalkd keeps its jobs."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.directory = os.path.join(self.folder, "beanstalkd")
        os.mkdir(self.directory)

    def client(self, server):
        client = Client(server.address)
        self.addCleanup(client.close)
        return client

    def write_damaged(self):
        """Three jobs, the last cut off; returns the file and the byte at which its record is."""
        with beanstalkd(self.directory, self.folder) as server:
            client = self.client(server)
            for body in (b"one", b"two", b"three"):
                client.ask(f"put 0 0 60 {len(body)}", body)
        file = pathlib.Path(self.directory, "binlog.1")
        content = file.read_bytes()
        at = content.index(b"three\r\n")
        file.write_bytes(content[:at + 2])
        return file, at - len("default") - 4 - 80
