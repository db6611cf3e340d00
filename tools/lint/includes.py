"""Which folder may include which: the arrows of the architecture, and the purity of the core.

Bazel's visibility and clang's layering_check keep the same arrows between our own targets; only
this rule also sees headers of the system.
"""

import re

from tools.lint import tree as trees

# Folder -> the prefixes of our own headers that its files may include besides its own. The
# longest matching folder counts. "base/pure" stands for the headers of //base:pure.
_ARROWS = {
    "base": [],
    "client": ["base/", "proto/"],
    "proto": [],
    "queue": ["base/pure"],
    "replication": ["base/", "storage/"],
    "replication/raft": ["base/pure"],
    "replication/transport": ["base/", "proto/", "replication/", "storage/"],
    "server": ["base/", "proto/", "queue/"],
    "server/binlog_takeover.cc": ["base/", "queue/", "server/", "storage/"],
    "server/binlog_takeover.h": ["client/binlog/", "server/"],
    "server/cluster": ["base/", "proto/", "replication/", "server/", "storage/"],
    "server/answer": ["base/", "proto/", "queue/", "server/engine/engine.h"],
    "server/codec": ["base/", "proto/", "queue/"],
    "server/dropin.cc": ["base/", "replication/", "server/", "storage/"],
    "server/engine": ["base/", "queue/", "replication/", "server/codec/",
                      "server/net/event_loop.h", "storage/"],
    "server/frontend": ["base/", "proto/", "server/answer/", "server/engine/", "server/net/"],
    "server/main.cc": ["base/", "client/", "server/"],
    "server/recover.cc": ["base/", "replication/", "server/", "storage/"],
    "server/serve.cc": ["base/", "replication/", "server/", "storage/"],
    "storage": ["base/"],
    "tests": ["base/", "client/", "proto/", "queue/", "replication/", "server/", "storage/"],
    "tools": [],
}

# What a frontend may know of the queue and the codec: the words that the engine's interface is
# made of, never the machine.
_VOCABULARY = ("queue/command.h", "queue/job.h", "queue/limits.h", "queue/outcome.h",
               "queue/queue_options.h", "queue/records.h", "server/codec/command_codec.h",
               "server/codec/payload_codec.h", "server/codec/payload_ref.h")

_OURS = re.compile(r"^(base|client|proto|queue|replication|server|storage|tests|tools)/")
_INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]')

_PURE_FOLDERS = ("queue", "replication/raft")

# The C++ library that the pure folders may use: values, containers and algorithms. No clock,
# thread, lock, file, stream, locale or randomness.
_PURE_SYSTEM = frozenset("""
    algorithm array bit bitset cctype charconv climits compare concepts cstddef cstdint cstring
    deque exception functional initializer_list iterator limits list map memory new numeric
    optional queue ranges set span stdexcept string string_view tuple type_traits unordered_map
    unordered_set utility variant vector version
""".split())
_PURE_ABSL = ("absl/base/attributes.h", "absl/container/", "absl/hash/", "absl/numeric/",
              "absl/types/")


def pure_headers(tree):
    """The headers of //base:pure, by its BUILD file."""
    if not tree.has("base/BUILD"):
        return frozenset()
    target = re.search(r'cc_library\(\s*name = "pure".*?\n\)', tree.text("base/BUILD"), re.DOTALL)
    names = re.search(r"hdrs = \[(.*?)\]", target.group(), re.DOTALL) if target else None
    return frozenset("base/" + name for name in re.findall(r'"([^"]+)"', names.group(1))) \
        if names else frozenset()


def _zone(path):
    """The longest folder of _ARROWS that the file is in."""
    fitting = [zone for zone in _ARROWS if path == zone or path.startswith(zone + "/")]
    return max(fitting, key=len, default=None)


def _is_pure(path):
    return path.startswith(tuple(folder + "/" for folder in _PURE_FOLDERS))


def _own(path, zone):
    """The prefix of headers that are the file's own: its zone, or its frontend."""
    parts = path.split("/")
    if zone == "server/frontend" and len(parts) > 3:
        return "/".join(parts[:3]) + "/"
    return zone + "/"


def _ours_problem(path, included, zone, pure):
    """Why a file may not include one of our headers, or None."""
    if included.startswith("storage/faulty/") and not (
            trees.is_test_code(path) or path.startswith("storage/faulty/")):
        return "storage/faulty is for tests"
    if "/testing/" in included and not trees.is_test_code(path):
        return "only tests include test code"
    if included.startswith("tests/") and not path.startswith("tests/"):
        return "nothing includes tests/"
    if included.startswith("base/testing/"):
        return None
    if included.startswith(_own(path, zone)):
        return None
    if zone == "server/frontend":
        if re.fullmatch(r"server/frontend/[^/]+", included) or included in _VOCABULARY:
            return None
        if included.startswith("queue/"):
            return "a frontend includes only the queue's vocabulary"
    elif zone == "server" and included.startswith("server/"):
        return None
    for allowed in _ARROWS[zone]:
        if allowed == "base/pure":
            if included in pure:
                return None
        elif included.startswith(allowed):
            return None
    return f"{zone}/ may not include it"


def _system_problem(path, included):
    """Why a file may not include a header that is not ours, or None."""
    if not _is_pure(path):
        return None
    if trees.is_test_code(path):
        return None
    if included in _PURE_SYSTEM or included.startswith(_PURE_ABSL):
        return None
    return "the pure core uses values and containers only"


def check(tree):
    """Returns the violations, one line each."""
    pure = pure_headers(tree)
    problems = []
    for path in tree.cpp():
        zone = _zone(path)
        if zone is None:
            continue
        for number, line in enumerate(tree.lines(path), 1):
            match = _INCLUDE.match(line)
            if not match:
                continue
            included = match.group(1)
            if _OURS.match(included):
                problem = _ours_problem(path, included, zone, pure)
            elif tree.has(path.rpartition("/")[0] + "/" + included):
                problem = "include from the repository's root"
            else:
                problem = _system_problem(path, included)
            if problem:
                problems.append(f"{path}:{number}: {included}: {problem}")
    return problems
