"""Words that may not stand in the repository: of unfinished work, of cheating tests, of a machine.

The words are put together from pieces, so that this file does not contain them itself.
"""

import re

from tools.lint import tree as trees

_UNFINISHED = [
    "TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK", "T" + "BD", "W" + "IP",
]
_UNFINISHED_ANY_CASE = [
    "not" + " implemented", "not" + " yet implemented", "place" + "holder", "stub" + "bed",
]
_DISABLED = ["DIS" + "ABLED_", "GTEST_" + "SKIP"]
_SLEEPS = ["sleep_" + "for", "sleep_" + "until", "u" + "sleep", "nano" + "sleep",
           "Sleep" + "For"]
# A test of crashes may draw the moment of a kill; nothing may wait for the sleep to end.
_CHOSEN_MOMENT = "// Chooses the moment"
_MACHINE = [
    r"(?<![\w.])/wo" + r"rk/", r"(?<![\w.])/ro" + r"ot/", r"(?<![\w.])/ho" + r"me/\w",
    r"(?<![\w.])/t" + r"mp/bash_jobs",
]

_DOCS = (".md", ".txt")


def _patterns(path):
    """(pattern, what is wrong) of each rule for the file."""
    yield re.compile(r"\b(" + "|".join(_UNFINISHED) + r")\b"), "unfinished work"
    yield (re.compile(r"\b(" + "|".join(_UNFINISHED_ANY_CASE) + r")\b", re.IGNORECASE),
           "unfinished work")
    yield re.compile("|".join(_MACHINE)), "the path of one machine"
    if trees.is_test_code(path) and not path.endswith(_DOCS):
        yield re.compile("|".join(_DISABLED)), "a test that does not run"
        yield re.compile(r"\b(" + "|".join(_SLEEPS) + r")\b"), "a test does not sleep"


def check(tree):
    """Returns the violations, one line each."""
    problems = []
    for path in tree.paths():
        patterns = list(_patterns(path))
        for number, line in enumerate(tree.lines(path), 1):
            for pattern, problem in patterns:
                match = pattern.search(line)
                if match and _CHOSEN_MOMENT not in line:
                    problems.append(f"{path}:{number}: '{match.group()}': {problem}")
    return problems
