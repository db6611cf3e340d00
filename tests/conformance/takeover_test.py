"""`holdfast beanstalkd -b` of a directory in which Debian's beanstalkd has kept its jobs.

    takeover_test.py HOLDFAST
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from tests.conformance import binlogs, run  # noqa: E402

HOLDFAST = os.path.abspath(sys.argv.pop(1))
# What a job has in both. A delayed job's time-left passes; `file` is beanstalkd's own; its `buries`
# rises with each of its starts.
KEPT = ("id", "tube", "state", "pri", "delay", "ttr", "reserves", "timeouts", "releases", "kicks")


class TakeoverTest(binlogs.TestCase):

    def server(self, *flags):
        return run.beanstalkd([HOLDFAST, "beanstalkd"], ("-b", self.directory, *flags), self.folder)

    def compare(self, expected, client, puts):
        for job in range(1, puts + 1):
            stats = client.stats_job(job)
            self.assertEqual(stats is not None, job in expected, job)
            if stats is None:
                continue
            was, body = expected[job]
            self.assertEqual({key: stats[key] for key in KEPT}, {key: was[key] for key in KEPT})
            self.assertEqual(int(stats["buries"]), int(was["buries"]) - (was["state"] == "buried"))
            self.assertEqual(client.fetch(f"peek {job}")[1], body)
            for key in ("age", "time-left"):
                self.assertLess(abs(int(stats[key]) - int(was[key])), 60, key)

    def test_its_jobs_are_there_under_their_ids(self):
        for seed in range(4):
            with self.subTest(seed=seed):
                self.setUp()
                puts = binlogs.write(self.directory, self.folder, 700, 100 + seed)
                expected = binlogs.as_beanstalkd_reads(self.directory, self.folder,
                                                       range(1, puts + 1))
                self.assertGreater(len(expected), 50)
                old = {name: pathlib.Path(self.directory, name).read_bytes()
                       for name in os.listdir(self.directory) if "binlog" in name}
                self.assertGreater(len(old), 1)
                with self.server("-f0") as server:
                    client = self.client(server)
                    self.compare(expected, client, puts)
                    # No id is used again, also of jobs that are gone.
                    self.assertEqual(client.ask("put 0 0 60 1", b"x"),
                                     ["INSERTED", str(puts + 1)])
                with self.server("-f0") as server:
                    client = self.client(server)
                    self.compare(expected, client, puts)
                    self.assertEqual(client.ask("put 0 0 60 1", b"x"),
                                     ["INSERTED", str(puts + 2)])
                self.assertEqual(set(os.listdir(self.directory)),
                                 {"holdfast", "imported-binlogs", "lock"})
                for name, content in old.items():
                    moved = pathlib.Path(self.directory, "imported-binlogs", name)
                    self.assertEqual(moved.read_bytes(), content)

    def test_ids_of_jobs_that_are_gone_are_not_used_again(self):
        with binlogs.beanstalkd(self.directory, self.folder) as server:
            client = self.client(server)
            client.put_many([b"%d" % job for job in range(1, 10)])
            for job in range(1, 10):
                client.ask(f"delete {job}")
        with self.server() as server:
            client = self.client(server)
            self.assertEqual(client.ask("put 0 0 60 1", b"x"), ["INSERTED", "10"])
            self.assertEqual(client.ask("peek 9"), ["NOT_FOUND"])

    def test_killed_at_any_moment_and_started_again(self):
        jobs = 20000
        with binlogs.beanstalkd(self.directory, self.folder, "-F") as server:
            client = self.client(server)
            for begin in range(0, jobs, 1000):
                client.put_many([b"job %d" % job for job in range(begin + 1, begin + 1001)])
        original = os.path.join(self.folder, "original")
        shutil.copytree(self.directory, original)
        took = self.start_and_kill(None)
        kills = 0
        for attempt in range(4):
            shutil.rmtree(self.directory)
            shutil.copytree(original, self.directory)
            # Twice, so that a start after a crash is cut off as well.
            for share in ((attempt + 1) / 5, (attempt * 3 % 4) / 4):
                self.start_and_kill(share * took)
                kills += os.path.exists(os.path.join(self.directory, "holdfast.importing"))
            with self.server() as server:
                client = self.client(server)
                stats = client.fetch("stats-tube default")[1].decode()
                self.assertIn(f"current-jobs-ready: {jobs}\n", stats)
                for job in (1, jobs // 2, jobs):
                    self.assertEqual(client.fetch(f"peek {job}")[1], b"job %d" % job)
                self.assertEqual(client.ask("put 0 0 60 1", b"x"), ["INSERTED", str(jobs + 1)])
            self.assertEqual(set(os.listdir(self.directory)),
                             {"holdfast", "imported-binlogs", "lock"})
        self.assertGreater(kills, 0, "it was never killed while it filled the directory")

    def start_and_kill(self, after_s):
        """Kills a start after a time, or when it has moved the binlogs; returns how long it ran."""
        begin = time.monotonic()
        process = subprocess.Popen(
            [HOLDFAST, "beanstalkd", "-b", self.directory, "-l", "127.0.0.1", "-p",
             str(run.free_port())], stderr=subprocess.DEVNULL)
        deadline = begin + (60 if after_s is None else after_s)
        done = pathlib.Path(self.directory, "imported-binlogs")
        while time.monotonic() < deadline and process.poll() is None:
            if after_s is None and done.exists():
                break
        process.kill()
        self.assertEqual(process.wait(), -signal.SIGKILL)
        return time.monotonic() - begin

    def test_damage_is_told_and_the_rest_taken_over(self):
        file, record = self.write_damaged()
        with self.server() as server:
            client = self.client(server)
            self.assertEqual(client.fetch("peek 2")[1], b"two")
            self.assertEqual(client.ask("peek 3"), ["NOT_FOUND"])
        self.assertIn(f"{file}: byte {record}: the file ends within a record",
                      pathlib.Path(self.folder, "log").read_text())

    def test_what_cannot_be_taken_over_is_refused(self):
        with binlogs.beanstalkd(self.directory, self.folder):
            self.assertIn("is in use by process", self.refusal())
        with self.server() as server:  # which listens before it has taken over
            self.client(server).ask("list-tube-used")
        # beanstalkd runs again in between.
        with binlogs.beanstalkd(self.directory, self.folder) as server:
            self.client(server).ask("put 0 0 60 1", b"x")
        self.assertIn("holdfast has jobs already", self.refusal())

    def refusal(self):
        ended = subprocess.run(
            [HOLDFAST, "beanstalkd", "-b", self.directory, "-l", "127.0.0.1", "-p", "0"],
            capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(ended.returncode, 1)
        return ended.stderr


if __name__ == "__main__":
    unittest.main()
