"""Macros: the CHECK family, RETURN_IF_ERROR, ASSIGN_OR_RETURN and include guards; nothing else."""

import re

# Where the macros of the vocabulary are defined.
_HOMES = ("base/check.h", "base/status_macros.h")
_DEFINE = re.compile(r"^\s*#\s*define\s+(\w+)")
# Include guards, and what asks something of a library: the C library, xxHash.
_ALLOWED = re.compile(r"_H_$|^_|^XXH_INLINE_ALL$")


def check(tree):
    """Returns the violations, one line each."""
    problems = []
    for path in tree.cpp():
        if path in _HOMES:
            continue
        for number, line in enumerate(tree.lines(path), 1):
            match = _DEFINE.match(line)
            if match and not _ALLOWED.search(match.group(1)):
                problems.append(f"{path}:{number}: macro {match.group(1)}: use a function")
    return problems
