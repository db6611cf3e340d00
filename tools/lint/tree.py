"""The files of the repository, as the lint rules see them."""

import os
import pathlib

# What is not ours: version control (a file in a worktree), Bazel's links, a server's data, the
# packages of npm.
_SKIPPED = (".git", "holdfast-data", "node_modules", "__pycache__")


class Tree:
    """Text files by path from the repository's root, with forward slashes."""

    def __init__(self, files):
        """`files` maps paths to texts."""
        self._files = dict(files)

    @classmethod
    def read(cls, root):
        """Reads every text file under `root` that is ours."""
        files = {}
        for folder, subfolders, names in os.walk(root):
            subfolders[:] = sorted(
                name for name in subfolders
                if name not in _SKIPPED and not name.startswith("bazel-"))
            for name in sorted(names):
                path = pathlib.Path(folder, name)
                if name in _SKIPPED or name.startswith("bazel-") or path.is_symlink():
                    continue
                if not path.is_file():
                    continue
                try:
                    text = path.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    continue  # A binary file, such as an input of a fuzz corpus.
                files[path.relative_to(root).as_posix()] = text
        return cls(files)

    def paths(self, *endings):
        """All paths in order, or those with one of the endings."""
        return [path for path in sorted(self._files) if not endings or path.endswith(endings)]

    def cpp(self):
        """The paths of the C++ files."""
        return self.paths(".cc", ".h")

    def has(self, path):
        """Whether there is such a file or folder."""
        folder = path.rstrip("/") + "/"
        return path in self._files or any(name.startswith(folder) for name in self._files)

    def text(self, path):
        return self._files[path]

    def lines(self, path):
        return self._files[path].splitlines()

    def folders(self):
        """Every folder that holds a file, at any depth; the root is not among them."""
        found = set()
        for path in self._files:
            parent = path.rpartition("/")[0]
            while parent:
                found.add(parent)
                parent = parent.rpartition("/")[0]
        return sorted(found)


def is_test_code(path):
    """Whether a file is part of tests or benchmarks only, by its name or folder."""
    stem = path.rpartition("/")[2].rpartition(".")[0]
    if stem.endswith(("_test", "_fuzz", "_bench")):
        return True
    return path.startswith("tests/") or "/testing/" in path
