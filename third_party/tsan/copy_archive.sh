#!/bin/bash
# copy_archive.sh IN OUT SYMBOLS...: copies an archive, renaming as quiet_archives.bzl says.
set -euo pipefail
in=$1
out=$2
shift 2
names=$(mktemp)
trap 'rm -f "$names"' EXIT
{
  cat "$@"
  nm --format=posix "$in" 2>/dev/null | cut -d' ' -f1 |
    { grep -E '^_ZNK?St7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE' || [[ $? == 1 ]]; } |
    sort -u | sed 's/.*/& quiet_&/'
} >"$names"
objcopy --redefine-syms="$names" "$in" "$out"
