"""How long a file, a function and a line may be."""

import re

from tools.lint import cpp

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
LINE_COLUMNS_MAX = 100

# A word that cannot be broken, such as an address or a mangled name, may stand out.
_UNBREAKABLE = re.compile(r"\S{60}")

_CODE = (".cc", ".h", ".proto", ".py", ".bzl", "BUILD")


def check(tree):
    """Returns the violations, one line each."""
    problems = []
    for path in tree.paths(*_CODE):
        lines = tree.lines(path)
        if len(lines) > FILE_LINES_MAX:
            problems.append(f"{path}: {len(lines)} lines; at most {FILE_LINES_MAX}")
        for number, line in enumerate(lines, 1):
            if len(line) > LINE_COLUMNS_MAX and not _UNBREAKABLE.search(line):
                problems.append(
                    f"{path}:{number}: {len(line)} columns; at most {LINE_COLUMNS_MAX}")
    for path in tree.cpp():
        for first, last in cpp.functions(tree.text(path)):
            if last - first + 1 > FUNCTION_LINES_MAX:
                problems.append(f"{path}:{first}: a function of {last - first + 1} lines; "
                                f"at most {FUNCTION_LINES_MAX}")
    return problems
