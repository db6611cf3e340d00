"""One seed is one run: two processes find the same hash of all that happened."""

import re
import subprocess
import unittest

_SIM = "tests/sim/sim"


def _summaries(seeds):
    """Profile -> (steps, hash), of a process of its own."""
    run = subprocess.run([_SIM, "--profile", "all", "--seeds", seeds, "--jobs", "1"],
                         capture_output=True, text=True, check=True)
    found = re.findall(r"^([\w-]+): seeds .*? ([\d,]+) steps.*; hash (\w+)$", run.stdout,
                       re.MULTILINE)
    return {profile: (steps, digest) for profile, steps, digest in found}


class SameRunTest(unittest.TestCase):
    def test_two_processes_make_the_same_runs(self):
        first = _summaries("1..8")
        self.assertGreater(len(first), 3)
        self.assertEqual(first, _summaries("1..8"))

    def test_other_seeds_make_other_runs(self):
        first = _summaries("1..2")
        second = _summaries("3..4")
        for profile, (_, digest) in first.items():
            self.assertNotEqual(digest, second[profile][1])


if __name__ == "__main__":
    unittest.main()
