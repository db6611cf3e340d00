"""Applies one lint rule to the whole repository: `lint.py RULE`.

Runs as a Bazel test: the repository is where the WORKSPACE file of the runfiles leads to.
From the repository's root it also runs as `PYTHONPATH=. python3 tools/lint/lint.py RULE`.
"""

import importlib
import os
import pathlib
import sys

from tools.lint import tree as trees


def main(rule):
    root = pathlib.Path(os.path.realpath("WORKSPACE")).parent
    tree = trees.Tree.read(root)
    if len(tree.cpp()) < 10:
        print(f"{root}: this is not the repository")
        return 1
    problems = importlib.import_module("tools.lint." + rule).check(tree)
    for problem in problems:
        print(problem)
    print(f"{rule}: {len(tree.paths())} files, {len(problems)} violations")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
