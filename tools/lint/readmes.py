"""Every folder explains itself, and what a README says exists."""

import re

LINES_MIN = 10
LINES_MAX = 40

# The folders that must have a README, with every folder below them that holds files.
_TOP = ("base", "client", "deploy", "docs", "proto", "queue", "replication", "server", "storage",
        "tests", "tools")
# Folders of data, explained where they are used.
_DATA = re.compile(r"(^|/)(testdata|corpus|[a-z_]+_corpus|data|adr|golden)(/|$)|^third_party/")
# The package hierarchy of .proto files is one folder to a reader.
_NESTED = re.compile(r"^proto/")

_FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
_TARGET = re.compile(r"(?<![\w@/])//([\w./-]*)(?::([\w.+/-]+))?")
_TOOL = re.compile(r"(?:^|(?<=[\s;&|(]))(?:\./)?((?:tools|\.ci)/[\w./-]+)")
_PATH = re.compile(r"^[\w.-]+(?:/[\w.-]+)*/?$")
_FILE_OR_FOLDER = re.compile(r"(\.(cc|h|md|proto|py|bzl|txt)|/)$")
# Documents whose commands, targets, paths and links are checked.
_CHECKED = re.compile(r"(^|/)README\.md$|^docs/[^/]+\.md$")


def _needs_readme(folder):
    if _DATA.search(folder) or _NESTED.match(folder):
        return False
    return folder.split("/")[0] in _TOP


def _holds_files(tree, folder):
    prefix = folder + "/"
    return any(path.startswith(prefix) and "/" not in path[len(prefix):] for path in tree.paths())


def _target_exists(tree, package, name):
    package = package.rstrip("/")
    if package.endswith("..."):
        folder = package[:-3].rstrip("/")
        return folder == "" or tree.has(folder)
    build = f"{package}/BUILD" if package else "BUILD"
    if build not in tree.paths():
        return False
    name = name or package.rpartition("/")[2]
    if name in ("all", "all-targets"):
        return True
    return re.search(rf'"{re.escape(name)}"', tree.text(build)) is not None


def _mentions(text):
    """The commands and code of a document: fenced blocks and spans."""
    yield from _FENCE.findall(text)
    yield from _SPAN.findall(_FENCE.sub("", text))


def _path_exists(tree, readme, path):
    """Whether a path in a document exists: from the root, or anywhere below its folder."""
    path = re.sub(r"(\.grpc)?\.pb\.h$", ".proto", path)  # Generated from it.
    folder = readme.rpartition("/")[0]
    if tree.has(path):
        return True
    ending = "/" + path.rstrip("/")
    names = tree.folders() if path.endswith("/") else tree.paths()
    return any(("/" + name).endswith(ending) and name.startswith(folder) for name in names)


def _resolve(readme, link):
    parts = readme.split("/")[:-1]
    for part in link.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _reference_problems(tree, path):
    text = tree.text(path)
    for mention in _mentions(text):
        for package, name in _TARGET.findall(mention):
            if not _target_exists(tree, package, name):
                target = f"//{package}:{name}" if name else f"//{package}"
                yield f"{path}: no such target: {target}"
        for tool in _TOOL.findall(mention):
            if not tree.has(tool.rstrip(".")):
                yield f"{path}: no such file: {tool}"
        if _PATH.match(mention) and _FILE_OR_FOLDER.search(mention):
            if not _path_exists(tree, path, mention):
                yield f"{path}: no such file: {mention}"
    for link in _LINK.findall(_FENCE.sub("", text)):
        if re.match(r"[a-z]+:", link):
            continue
        resolved = _resolve(path, link)
        if resolved is None or resolved and not tree.has(resolved):
            yield f"{path}: no such file: {link}"


def check(tree):
    """Returns the violations, one line each."""
    problems = []
    for folder in tree.folders():
        if not _needs_readme(folder) or not _holds_files(tree, folder):
            continue
        readme = folder + "/README.md"
        if readme not in tree.paths():
            problems.append(f"{folder}: no README.md")
            continue
        length = len(tree.lines(readme))
        if not LINES_MIN <= length <= LINES_MAX:
            problems.append(f"{readme}: {length} lines; {LINES_MIN} to {LINES_MAX}")
    for path in tree.paths(".md"):
        if _CHECKED.search(path):
            problems += _reference_problems(tree, path)
    return problems
