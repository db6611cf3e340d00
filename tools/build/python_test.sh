#!/bin/bash
# Runs a Python file from the root of the runfiles: see python.bzl.
set -euo pipefail
export PYTHONPATH=$PWD PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 "$@"
