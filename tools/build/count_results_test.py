"""Tests of count_results.py."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

from tools.build import count_results


def summary(label, status):
    return {
        "id": {"testSummary": {"label": label}},
        "testSummary": {"overallStatus": status},
    }


class CountResults(unittest.TestCase):
    def run_main(self, commands):
        """Runs main on {name: (events, status)}; returns (exit status, printed lines)."""
        with tempfile.TemporaryDirectory() as folder:
            for name, (events, status) in commands.items():
                lines = "".join(json.dumps(event) + "\n" for event in events)
                pathlib.Path(folder, name + ".json").write_text(lines, encoding="utf-8")
                pathlib.Path(folder, name + ".status").write_text(f"{status}\n", encoding="utf-8")
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                status = count_results.main(folder)
            return status, out.getvalue().splitlines()

    def test_passed_tests_of_all_commands_are_added(self):
        status, lines = self.run_main({
            "usual": ([summary("//a", "PASSED"), summary("//b", "PASSED")], 0),
            "asan": ([summary("//a", "PASSED")], 0),
        })
        self.assertEqual((status, lines), (0, ["3 passed, 0 failed"]))

    def test_every_other_result_is_a_failure(self):
        for result in ("FAILED", "FLAKY", "TIMEOUT", "NO_STATUS", "FAILED_TO_BUILD", "INCOMPLETE"):
            status, lines = self.run_main({"usual": ([summary("//a", result)], 3)})
            self.assertEqual((status, lines),
                             (1, [f"usual: //a: {result}", "0 passed, 1 failed"]))

    def test_a_command_that_did_not_build_is_a_failure(self):
        status, lines = self.run_main({
            "usual": ([summary("//a", "PASSED")], 0),
            "clang": ([], 1),
        })
        self.assertEqual((status, lines),
                         (1, ["clang: bazel ended with 1", "1 passed, 1 failed"]))

    def test_a_failed_test_does_not_hide_that_something_was_not_built(self):
        _, lines = self.run_main({"usual": ([summary("//a", "FAILED")], 1)})
        self.assertEqual(lines, ["usual: //a: FAILED", "usual: bazel ended with 1",
                                 "0 passed, 2 failed"])

    def test_nothing_run_is_a_failure(self):
        status, lines = self.run_main({"usual": ([], 4)})
        self.assertEqual((status, lines), (1, ["no test was run", "0 passed, 1 failed"]))

    def test_a_half_written_event_does_not_hide_the_failure(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "usual.json").write_text('{"id": {', encoding="utf-8")
            pathlib.Path(folder, "usual.status").write_text("37\n", encoding="utf-8")
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                self.assertEqual(count_results.main(folder), 1)
            self.assertIn("bazel ended with 37", out.getvalue())


if __name__ == "__main__":
    unittest.main()
