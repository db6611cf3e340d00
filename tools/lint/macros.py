"""Macros: the CHECK family, RETURN_IF_ERROR, ASSIGN_OR_RETURN and include guards; nothing else."""

import re

# Where the macros of the vocabulary are defined.
_HOMES = ("base/check.h", "base/status_macros.h")
_DEFINE = re.compile(r"^\s*#\s*define\s+(\w+)")


def check(tree):
    """Returns the violations, one line each."""
    problems = []
    for path in tree.cpp():
        if path in _HOMES:
            continue
        for number, line in enumerate(tree.lines(path), 1):
            match = _DEFINE.match(line)
            # A guard ends in _H_; a name with a leading _ asks something of the C library.
            if match and not match.group(1).endswith("_H_") and not match.group(1).startswith("_"):
                problems.append(f"{path}:{number}: macro {match.group(1)}: use a function")
    return problems
