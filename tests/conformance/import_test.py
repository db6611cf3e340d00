"""`holdfast import-binlog` of what Debian's beanstalkd has written, into a running server.

    import_test.py HOLDFAST
"""

import base64
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest
from datetime import datetime

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from tests.conformance import binlogs, run  # noqa: E402

HOLDFAST = os.path.abspath(sys.argv.pop(1))
LEASE_MAX_S = 30 * 86400


class ImportTest(binlogs.TestCase):

    def setUp(self):
        super().setUp()
        self.endpoint = None

    def server(self, *flags):
        server = run.holdfast(HOLDFAST, ["--shards=4", *flags], self.folder)
        server.__enter__()
        self.addCleanup(server.__exit__)
        ports = json.loads(pathlib.Path(self.folder, "data", "ports.json").read_text())
        self.endpoint = ports["grpc"]
        return server

    def holdfast(self, *words, code=0):
        ended = subprocess.run([HOLDFAST, *words, "--endpoint", self.endpoint or "127.0.0.1:1"],
                               capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(ended.returncode, code, ended.stdout + ended.stderr)
        return ended

    def imported(self, *words, code=0):
        ended = self.holdfast("import-binlog", self.directory, "--format", "json", *words,
                              code=code)
        return json.loads(ended.stdout)

    def jobs(self):
        """All jobs of the server, by body."""
        found = {}
        for queue in json.loads(self.holdfast("queue", "list", "--format", "json").stdout):
            for state in ("ready", "delayed", "reserved", "buried"):
                for job in json.loads(self.holdfast(
                        "jobs", "list", queue["name"], "--state", state, "--bodies", "--limit",
                        "100000", "--format", "json").stdout):
                    body = job["body"].encode() if "body" in job else \
                        base64.b64decode(job["body_base64"])
                    self.assertNotIn(body, found, "twice")
                    found[body] = job
        return found

    def compare(self, expected, found):
        self.assertEqual({body for _, body in expected.values()}, set(found))
        ids_by_queue = {}
        for stats, body in expected.values():
            job = found[body]
            self.assertEqual(job["queue"], stats["tube"])
            self.assertEqual(job["state"], stats["state"], stats)
            self.assertEqual(job["priority"], int(stats["pri"]))
            ttr = min(int(stats["ttr"]), LEASE_MAX_S)
            self.assertEqual(seconds(job["lease_duration"]), ttr)
            if stats["state"] == "delayed":
                ready = datetime.fromisoformat(job["ready_time"].replace("Z", "+00:00"))
                left = ready.timestamp() - time.time()
                self.assertLess(abs(left - int(stats["time-left"])), 60, stats)
            ids_by_queue.setdefault(stats["tube"], []).append(job["id"])
        # Their order in each tube is the old one.
        for ids in ids_by_queue.values():
            self.assertEqual(ids, sorted(ids))

    def test_what_beanstalkd_has_is_there_afterwards(self):
        for seed in range(4):
            with self.subTest(seed=seed):
                self.setUp()
                puts = binlogs.write(self.directory, self.folder, 700, seed)
                files = [name for name in os.listdir(self.directory) if "binlog" in name]
                self.assertGreater(len(files), 1)
                before = {name: pathlib.Path(self.directory, name).read_bytes() for name in files}
                expected = binlogs.as_beanstalkd_reads(self.directory, self.folder,
                                                       range(1, puts + 1))
                self.assertGreater(len(expected), 50)
                self.server()
                said = self.imported()
                self.assertEqual((said["jobs"], said["imported"], said["refused"]),
                                 (len(expected), len(expected), 0))
                self.assertEqual(said["damages"], [])
                for state in ("ready", "delayed", "buried"):
                    self.assertEqual(said[state], sum(stats["state"] == state
                                                      for stats, _ in expected.values()))
                self.compare(expected, self.jobs())
                again = self.imported()
                self.assertEqual((again["imported"], again["imported_before"]),
                                 (0, len(expected)))
                self.compare(expected, self.jobs())
                for name, content in before.items():
                    self.assertEqual(pathlib.Path(self.directory, name).read_bytes(), content)

    def test_what_is_done_is_not_added_again_and_what_is_new_is(self):
        with binlogs.beanstalkd(self.directory, self.folder) as server:
            client = self.client(server)
            client.ask("put 0 0 60 3", b"one")
            client.ask("put 0 0 60 3", b"two")
        self.server()
        self.assertEqual(self.imported()["imported"], 2)
        lease = json.loads(self.holdfast("reserve", "default", "--format", "json").stdout)[0]
        self.assertEqual(lease["body"], "one")
        self.holdfast("delete", lease["lease"])
        # beanstalkd goes on meanwhile, and writes its records anew.
        with binlogs.beanstalkd(self.directory, self.folder) as server:
            client = self.client(server)
            self.assertEqual(client.ask("put 0 0 60 5", b"three"), ["INSERTED", "3"])
        said = self.imported()
        self.assertEqual((said["imported"], said["imported_before"]), (1, 2))
        self.assertEqual(set(self.jobs()), {b"two", b"three"})

    def test_killed_in_the_middle_and_run_again(self):
        jobs = 30000
        with binlogs.beanstalkd(self.directory, self.folder, "-F") as server:
            client = self.client(server)
            for begin in range(0, jobs, 1000):
                client.put_many([b"job %d" % job for job in range(begin, begin + 1000)])
        self.server()
        kills = 0
        for share in (0.1, 0.4, 0.7):
            process = subprocess.Popen(
                [HOLDFAST, "import-binlog", self.directory, "--endpoint", self.endpoint],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while self.count() < share * jobs and process.poll() is None:
                pass
            process.kill()
            kills += process.wait() == -signal.SIGKILL
        self.assertGreater(kills, 0, "it was always done before it was killed")
        said = self.imported()
        self.assertEqual(said["imported"] + said["imported_before"], jobs)
        self.assertGreater(said["imported_before"], 0)
        self.assertEqual(self.count(), jobs)
        self.assertEqual(set(self.jobs()), {b"job %d" % job for job in range(jobs)})

    def count(self):
        queues = json.loads(self.holdfast("queue", "list", "--format", "json").stdout)
        return sum(queue["counts"]["ready"] for queue in queues)

    def test_damage_is_told_and_the_rest_imported(self):
        file, record = self.write_damaged()
        self.server()
        said = self.imported(code=1)
        self.assertEqual(said["imported"], 2)
        self.assertEqual(said["damages"], [{"file": str(file), "offset_bytes": record,
                                            "problem": "the file ends within a record"}])
        told = self.holdfast("import-binlog", self.directory, code=1)
        self.assertIn(f"{file}: byte {record}: the file ends within a record", told.stderr)
        self.assertIn("0 imported, 2 imported before, 0 refused", told.stdout)

    def test_a_job_that_the_server_does_not_take_stops_it_before_it_begins(self):
        with binlogs.beanstalkd(self.directory, self.folder, "-z", "100000") as server:
            client = self.client(server)
            client.ask("put 0 0 60 3", b"one")
            client.ask("put 0 0 60 70000", b"x" * 70000)
        self.server()
        told = self.holdfast("import-binlog", self.directory, code=1)
        self.assertIn("job 2 has 70000 bytes, and the server takes 65535", told.stderr)
        self.assertEqual(self.jobs(), {})

    def test_mistakes_are_told(self):
        with binlogs.beanstalkd(self.directory, self.folder) as server:
            told = self.holdfast("import-binlog", self.directory, code=1)
            self.assertRegex(told.stderr, r"is in use by process \d+: stop that beanstalkd first")
            self.assertTrue(server.address)
        told = self.holdfast("import-binlog", self.folder, code=2)
        self.assertIn("holds no binlog", told.stderr)
        told = self.holdfast("import-binlog", self.folder + "/none", code=2)
        self.assertIn("/none", told.stderr)
        self.assertEqual(self.imported("--dry-run")["jobs"], 0)
        told = self.holdfast("import-binlog", self.directory, "--timeout", "1s", code=4)
        self.assertIn("is a node running there?", told.stderr)


def seconds(text):
    """Of a duration as Abseil prints it: 1h2m3s."""
    return sum(float(text[begin:end - 1]) * unit for begin, end, unit in parts(text))


def parts(text):
    begin = 0
    for end, letter in enumerate(text, 1):
        if letter in "hms":
            yield begin, end, {"h": 3600, "m": 60, "s": 1}[letter]
            begin = end


if __name__ == "__main__":
    unittest.main()
