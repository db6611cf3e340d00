"""Tests of json_value.py."""

import contextlib
import io
import unittest

from tools.build import json_value


class JsonValue(unittest.TestCase):
    def run_main(self, name, text):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = json_value.main(name, text)
        return status, out.getvalue(), err.getvalue()

    def test_finds_a_value_at_any_depth(self):
        text = '{"name": "a", "queues": [{"counts": {"ready": "12", "delayed": 0}}]}'
        self.assertEqual(self.run_main("ready", text), (0, "12\n", ""))
        self.assertEqual(self.run_main("delayed", text), (0, "0\n", ""))

    def test_says_what_is_missing(self):
        status, out, err = self.run_main("ready", '{"a": 1}')
        self.assertEqual((status, out), (1, ""))
        self.assertIn("ready", err)
        self.assertEqual(self.run_main("ready", "connection refused")[0], 1)


if __name__ == "__main__":
    unittest.main()
