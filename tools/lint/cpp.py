"""Just enough C++ to lint it: comments and literals blanked, function bodies found."""

import re

_TOKEN = re.compile(
    r'//[^\n]*'
    r'|/\*.*?\*/'
    r'|R"(?P<fence>[^()\s\\]{0,16})\(.*?\)(?P=fence)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'",
    re.DOTALL)

_TYPE = re.compile(
    r"^(?:template\s*<.*?>\s*)*(?:typedef\s+)?(?:class|struct|union|enum)\b", re.DOTALL)
_NAMESPACE = re.compile(r'^(?:inline\s+)?namespace\b|^extern\s*$')
_ACCESS = re.compile(r"^(?:\s*(?:public|private|protected)\s*:(?!:))+")


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    """The text with comments blanked; every line keeps its number."""
    return _TOKEN.sub(
        lambda m: _blank(m.group()) if m.group().startswith(("//", "/*")) else m.group(), text)


def code_only(text):
    """The text with comments and the insides of literals blanked; lines keep their numbers."""
    return _TOKEN.sub(lambda m: _blank(m.group()), text)


def _without_preprocessor(text):
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: _blank(m.group()), text, flags=re.M)


def _kind(head):
    """What a brace after `head` opens: namespace, type, function or other."""
    head = _ACCESS.sub("", head.strip()).strip()
    if _NAMESPACE.match(head):
        return "namespace"
    if _TYPE.match(head):
        return "type"
    if "(" in head and not head.endswith(("=", ",", "(", "return")):
        return "function"
    return "other"


def functions(text):
    """Yields (first line, last line) of each function, from its head to its closing brace.

    Lines count from 1. A lambda or a local class belongs to the function around it.
    """
    code = _without_preprocessor(code_only(text))
    stack = []  # (kind, position of the head) of the braces that are open
    begin = 0  # Where the current statement begins.
    for match in re.finditer(r"[{};]", code):
        position, mark = match.start(), match.group()
        if mark == "{":
            head = code[begin:position]
            first = begin + len(head) - len(head.lstrip())
            stack.append(("other" if _inside_statement(stack) else _kind(head), first))
        elif mark == "}" and stack:
            kind, first = stack.pop()
            if kind == "function":
                if re.match(r"\s*[,{]", code[position + 1:position + 200]):
                    continue  # A braced member initialiser: the head goes on.
                yield code.count("\n", 0, first) + 1, code.count("\n", 0, position) + 1
        if not _inside_statement(stack):
            begin = position + 1


def _inside_statement(stack):
    return any(kind in ("function", "other") for kind, _ in stack)
