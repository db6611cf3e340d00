"""The judge is judged: a conversation is held by a server that answers so, and by no other."""

import pathlib
import socket
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from tests.conformance import conversation  # noqa: E402


class CannedServer:
    """Accepts connections, and answers each line it gets with the next of its answers."""

    def __init__(self, answers):
        self._answers = list(answers)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                if line == b"list-tube-used\r\n":
                    connection.sendall(b"USING default\r\n")
                elif self._answers:
                    connection.sendall(self._answers.pop(0))

    def close(self):
        self._listener.close()


class ConversationTest(unittest.TestCase):

    def hold(self, text, *answers, tags=("1.13",)):
        server = CannedServer(answers)
        self.addCleanup(server.close)
        steps = conversation.parse(text, tags)
        conversation.Conversation(server.address, lambda: None).hold(steps)

    def assert_held(self, text, *answers, **options):
        self.hold(text, *answers, **options)

    def assert_caught(self, text, *answers, **options):
        with self.assertRaises(conversation.Mismatch):
            self.hold(text, *answers, **options)

    def test_a_line_is_compared_as_a_whole(self):
        self.assert_held("> a\n< OK", b"OK\r\n")
        for wrong in (b"OKAY\r\n", b"ok\r\n", b" OK\r\n", b"O\r\n"):
            self.assert_caught("> a\n< OK", wrong)

    def test_names_stand_for_what_they_first_were(self):
        self.assert_held("> a\n< ID {x}\n> {x}\n< {x} {x}", b"ID 7\r\n", b"7 7\r\n")
        self.assert_caught("> a\n< ID {x}\n> b\n< {x}", b"ID 7\r\n", b"8\r\n")
        self.assert_caught("> a\n< {x} {x}", b"7 8\r\n")
        self.assert_held("> a\n< {*}", b"any thing\r\n")

    def test_data_is_compared_in_whole_or_in_part(self):
        data = b"OK 14\r\n---\na: 1\nb: 2\n\r\n"
        self.assert_held("> a\n<yaml a: 1\n    b: 2", data)
        self.assert_held("> a\n<some b: 2", data)
        self.assert_caught("> a\n<yaml a: 1", data)
        self.assert_caught("> a\n<yaml b: 2\n    a: 1", data)
        self.assert_caught("> a\n<some b: 3", data)
        self.assert_caught("> a\n<some c: 2", data)
        self.assert_caught("> a\n<yaml a: 1\n    b: 2", data.replace(b"14", b"13"))

    def test_the_end_and_silence_are_seen(self):
        self.assert_caught("> a\n<end", b"more\r\n")
        self.assert_held("> a\nquiet")
        self.assert_caught("> a\nquiet", b"more\r\n")

    def test_an_answer_may_be_too_soon(self):
        self.assert_caught("> a\n< OK\nleast 5", b"OK\r\n")

    def test_steps_for_other_servers_are_left_out(self):
        text = "> a\n[1.12] < OLD\n[1.13] < NEW"
        self.assert_held(text, b"NEW\r\n")
        self.assert_held(text, b"OLD\r\n", tags=("1.12",))
        self.assert_caught(text, b"OLD\r\n")

    def test_what_is_no_step_is_refused(self):
        with self.assertRaises(ValueError):
            conversation.parse("wait 5", ("1.13",))


if __name__ == "__main__":
    unittest.main()
