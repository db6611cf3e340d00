"""holdfast_python_test: a test in Python 3, run by /usr/bin/python3.

Bazel's own py_test looks for a program named python, which Debian does not have.
"""

def holdfast_python_test(name, main, srcs = [], data = [], args = [], **kwargs):
    """Declares a test that runs a file of this package with the Python of Debian.

    Args:
      name: the test.
      main: the file to run.
      srcs: further Python files and filegroups of them, imported by path from the root.
      data: as everywhere.
      args: arguments of main.
      **kwargs: size, tags, ... of sh_test.
    """
    native.sh_test(
        name = name,
        srcs = ["//tools/build:python_test.sh"],
        args = [native.package_name() + "/" + main] + args,
        data = [main] + srcs + data,
        **kwargs
    )
