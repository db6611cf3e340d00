"""Conversations: what clients send and what a server must answer, byte for byte.

A conversation is a text file. Each line is one step; a name before the sign says on which
connection, opened when it is first named ("c" without a name):

    > put 0 0 60 5          sends the text and CRLF
    b> reserve              the same on connection b
    < INSERTED {id}         reads up to CRLF and compares
    raw "a\\r\\n\\0" * 3    sends bytes: a Python literal of bytes, perhaps repeated
    b<yaml tube: "a"        reads OK <bytes> and the data; all lines that follow, indented, must be
        key: value          those of the data, in order (one may follow the sign at once)
    <some                   the same, but the data may have other lines as well, in any order
    <end                    reads the end of the connection
    shut                    sends no more (half-closes)
    close                   closes
    quiet                   nothing has come by now: the server has since answered somebody else
    least 0.9               the last read ended no sooner than so many seconds after the last send
    drain                   sends the server SIGUSR1, and waits until its stats tell of it

{name} stands for a run of anything but spaces: what the first one was, later ones must be too;
{*} for anything. A step that begins with [1.12], [1.13], [beanstalkd], [holdfast], [alone] or
[cluster] is for such servers only; several words may be given. # begins a comment.
"""

import ast
import re
import select
import socket
import time

PATIENCE_S = 20

_STEP = re.compile(r"^(?:\[([^\]]+)\]\s*)?([a-z][a-z0-9]*(?=[<> ]|$))?\s*"
                   r"(>|<yaml|<some|<end|<|$)(.*)$")
_ACTIONS = ("raw", "shut", "close", "quiet", "least", "drain")


class Mismatch(Exception):
    """The server did not answer what the conversation says."""


class Step:
    """One step: its line number, connection, action, argument, and the lines that belong to it."""

    def __init__(self, number, connection, action, argument):
        self.number = number
        self.connection = connection
        self.action = action
        self.argument = argument
        self.block = []


def parse(text, tags):
    """Returns the steps of a conversation for a server with these tags.

    Raises ValueError, with the line, for what is no step.
    """
    steps = []
    mine = True
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace():
            if not steps and mine:
                raise ValueError(f"{number}: a continuation of nothing")
            if mine:
                steps[-1].block.append(line.strip())
            continue
        step, wanted = _parse_step(number, line)
        mine = wanted is None or bool(set(wanted.split()) & set(tags))
        if mine:
            steps.append(step)
    return steps


def _parse_step(number, line):
    words = re.match(r"^(?:\[([^\]]+)\]\s*)?(?:([a-z][a-z0-9]*)\s+)?(" + "|".join(_ACTIONS) +
                     r")\b\s*(.*)$", line)
    if words:
        return Step(number, words[2] or "c", words[3], words[4]), words[1]
    match = _STEP.match(line)
    if not match or not match[3]:
        raise ValueError(f"{number}: not a step: {line}")
    step = Step(number, match[2] or "c", match[3], match[4].removeprefix(" "))
    if match[3] in ("<yaml", "<some") and step.argument:
        step.block.append(step.argument)
    return step, match[1]


class Connection:
    """A client's socket that reads lines and runs of bytes, each within PATIENCE_S."""

    def __init__(self, address):
        self._socket = socket.create_connection(address, timeout=PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self.sent_at = time.monotonic()
        self.read_at = self.sent_at

    def send(self, data):
        self.sent_at = time.monotonic()
        self._socket.sendall(data)

    def _fill(self):
        data = self._socket.recv(65536)
        self.read_at = time.monotonic()
        self._buffer += data
        return bool(data)

    def line(self):
        while b"\r\n" not in self._buffer:
            if not self._fill():
                raise Mismatch(f"the connection ended after {self._buffer!r}")
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def exactly(self, size):
        while len(self._buffer) < size:
            if not self._fill():
                raise Mismatch(f"the connection ended after {self._buffer!r}")
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def expect_end(self):
        if self._buffer or self._fill():
            raise Mismatch(f"{self._buffer!r} instead of the end")

    def has_input(self):
        return bool(self._buffer) or bool(select.select([self._socket], [], [], 0)[0])

    def shut(self):
        self._socket.shutdown(socket.SHUT_WR)

    def close(self):
        self._socket.close()


class Conversation:
    """Holds one conversation with a server.

    Args:
      address: host and port of the server.
      drain: called to send the server SIGUSR1.
    """

    def __init__(self, address, drain):
        self._address = address
        self._drain = drain
        self._connections = {}
        self._names = {}

    def hold(self, steps):
        """Raises Mismatch, with the line of the step, at the first difference."""
        try:
            for step in steps:
                try:
                    self._take(step)
                except (Mismatch, OSError) as error:
                    raise Mismatch(f"line {step.number}: {error}") from error
        finally:
            for connection in self._connections.values():
                connection.close()

    def _connection(self, name):
        if name not in self._connections:
            self._connections[name] = Connection(self._address)
        return self._connections[name]

    def _take(self, step):
        connection = self._connection(step.connection)
        if step.action == ">":
            connection.send(self._fill_in(step.argument).encode() + b"\r\n")
        elif step.action == "raw":
            literal, _, times = step.argument.rpartition(" * ")
            connection.send(ast.literal_eval("b" + (literal or times)) *
                            (int(times) if literal else 1))
        elif step.action == "<":
            self._compare(step.argument, connection.line().decode("latin-1"))
        elif step.action in ("<yaml", "<some"):
            self._compare_data(step, self._data(connection))
        elif step.action == "<end":
            connection.expect_end()
        elif step.action == "shut":
            connection.shut()
        elif step.action == "close":
            self._connections.pop(step.connection).close()
        elif step.action == "quiet":
            self._expect_quiet(connection)
        elif step.action == "drain":
            self._drain()
            self._await_draining()
        else:
            took = connection.read_at - connection.sent_at
            if took < float(step.argument):
                raise Mismatch(f"answered after {took:.3f} s already")

    def _expect_quiet(self, connection):
        other = self._connection("the witness")
        other.send(b"list-tube-used\r\n")
        other.line()
        if connection.has_input():
            raise Mismatch(f"{connection.line()!r} although nothing was to come")

    def _await_draining(self):
        other = self._connection("the witness")
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            other.send(b"stats\r\n")
            if "draining: true" in self._data(other):
                return
        raise Mismatch("it does not drain")

    def _data(self, connection):
        head = connection.line()
        match = re.fullmatch(rb"OK (\d+)", head)
        if not match:
            raise Mismatch(f"{head!r} instead of OK <bytes>")
        data = connection.exactly(int(match[1]) + 2).decode("latin-1")
        if not data.startswith("---\n") or not data.endswith("\n\r\n"):
            raise Mismatch(f"not the form of data: {data!r}")
        return data[4:-3].split("\n")

    def _compare_data(self, step, lines):
        if step.action == "<yaml" and len(lines) != len(step.block):
            raise Mismatch(f"{len(lines)} lines instead of {len(step.block)}: {lines}")
        for index, wanted in enumerate(step.block):
            if step.action == "<yaml":
                self._compare(wanted, lines[index])
                continue
            key = wanted.partition(":")[0] + ":"
            found = [line for line in lines if line.startswith(key)]
            if not found and wanted not in lines:
                raise Mismatch(f"no {wanted!r} in {lines}")
            self._compare(wanted, found[0] if found else wanted)

    def _fill_in(self, text):
        return re.sub(r"\{(\w+)\}", lambda match: self._names[match[1]], text)

    def _compare(self, wanted, got):
        pattern = ""
        fresh = []
        for part in re.split(r"(\{[\w*]+\})", wanted):
            name = part[1:-1]
            if not part.startswith("{"):
                pattern += re.escape(part)
            elif name == "*":
                pattern += ".*"
            elif name in self._names:
                pattern += re.escape(self._names[name])
            elif name in fresh:
                pattern += f"(?P={name})"
            else:
                fresh.append(name)
                pattern += rf"(?P<{name}>\S+)"
        match = re.fullmatch(pattern, got, re.DOTALL)
        if not match:
            raise Mismatch(f"{got!r} instead of {wanted!r}")
        self._names.update(match.groupdict())
