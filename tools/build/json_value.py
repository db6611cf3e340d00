"""Prints the first value of a name anywhere in the JSON on standard input: `json_value.py NAME`.

Ends with status 1 when there is none.
"""

import json
import sys


def find(value, name):
    """The first value called `name`, depth first, or None."""
    if isinstance(value, dict):
        if name in value:
            return value[name]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            found = find(inner, name)
            if found is not None:
                return found
    return None


def main(name, text):
    try:
        found = find(json.loads(text), name)
    except json.JSONDecodeError as error:
        print(f"not JSON: {error}: {text!r}", file=sys.stderr)
        return 1
    if found is None:
        print(f"no '{name}' in {text!r}", file=sys.stderr)
        return 1
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.stdin.read()))
