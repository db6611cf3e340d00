"""How files, folders and include guards are called."""

import re

_JUNK = ("common", "helper", "helpers", "misc", "shared", "stuff", "util", "utils")
_SNAKE = re.compile(r"^[a-z0-9]+(_[a-z0-9]+)*$")


def _guard(path):
    return "HOLDFAST_" + re.sub(r"[^A-Z0-9]", "_", path.upper()) + "_"


def _name_problems(path):
    folder, _, name = path.rpartition("/")
    stem = name.partition(".")[0]
    words = {word for part in folder.split("/") for word in part.split("_")} | set(stem.split("_"))
    for word in sorted(words & set(_JUNK)):
        yield f"{path}: '{word}' says nothing; name it for what it does"
    if not _SNAKE.match(stem):
        yield f"{path}: file names are snake_case"
    if stem.endswith(("_tests", "_unittest", "_benchmark", "_fuzzer")):
        yield f"{path}: tests end in _test, fuzz targets in _fuzz, benchmarks in _bench"


def _test_problems(path, text):
    """A file with tests, a fuzz target or benchmarks says so in its name, and only such a file."""
    kinds = (("_test", r"^\s*(?:TYPED_)?TEST(?:_[FP])?\("),
             ("_fuzz", r"\bLLVMFuzzerTestOneInput\s*\([^)]*\)\s*\{"),
             ("_bench", r"^\s*BENCHMARK(?:_[A-Z]+)?\("))
    stem = path.rpartition("/")[2].partition(".")[0]
    for ending, pattern in kinds:
        if re.search(pattern, text, re.MULTILINE) and not stem.endswith(ending):
            yield f"{path}: its name must end in {ending}"


def _guard_problems(path, text):
    guard = _guard(path)
    found = re.search(r"^#ifndef\s+(\w+)\s*\n#define\s+(\w+)\s*$", text, re.MULTILINE)
    if not found or {found.group(1), found.group(2)} != {guard}:
        yield f"{path}: the include guard must be {guard}"
    if re.search(r"^\s*#\s*pragma\s+once", text, re.MULTILINE):
        yield f"{path}: include guards, not #pragma once"


def check(tree):
    """Returns the violations, one line each."""
    problems = []
    for path in tree.paths(".cc", ".h", ".py", ".proto", ".bzl"):
        problems += _name_problems(path)
    for path in tree.cpp():
        problems += _test_problems(path, tree.text(path))
    for path in tree.paths(".h"):
        problems += _guard_problems(path, tree.text(path))
    return problems
