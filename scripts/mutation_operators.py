"""Small faults that can be put into a Python source: a sign, a comparison, a constant, a term, an order, a result.

Each is one replacement of a piece of text. Words (strings, messages of errors, annotations) are left alone: the tests
are not meant to hold them.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

SIGNS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "/", ast.Mod: "*", ast.Pow: "*"}
SIGNS |= {ast.BitAnd: "|", ast.BitOr: "&"}
COMPARISONS = {
    ast.Lt: ("<=", ">="), ast.LtE: ("<", ">"), ast.Gt: (">=", "<="), ast.GtE: (">", "<"), ast.Eq: ("!=",),
    ast.NotEq: ("==",), ast.Is: ("is not",), ast.IsNot: ("is",), ast.In: ("not in",), ast.NotIn: ("in",),
}  # fmt: skip
Scope = Literal["line", "module", "kernel"]


@dataclass(frozen=True)
class Drawn:
    """In ``file`` (below src/), the bytes ``start`` to ``end``, which read ``old``, become ``new``.

    lines: first and last line of the statement that holds them. scope: "line" where a test that runs these lines can
    notice; "module" where they run when the file is imported; "kernel" where numba compiles them, so that no trace
    shows which test runs them. order: a number in [0, 1) by which a sample is drawn; it hangs on the seed and on what
    the line says, not on where it stands, so that the sample stays when other lines change.
    """

    file: str
    kind: str
    start: int
    end: int
    old: str
    new: str
    lines: tuple[int, int]
    scope: Scope
    order: float

    def put_into(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]

    @property
    def name(self) -> str:
        return f"{self.file}:{self.lines[0]} {self.kind}: {_one_line(self.old)} -> {_one_line(self.new)}"


def faults_of(file: Path, root: Path, seed: int) -> list[Drawn]:
    """All faults of a source file, in the order of the text; a few do not compile (:func:`compiles`)."""
    source = file.read_bytes()
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    name, seen, result = file.relative_to(root).as_posix(), {}, []
    for kind, start, end, new, lines, scope in finder.found:
        old, line = source[start:end].decode(), source.splitlines()[lines[0] - 1].strip()
        said = (seed, name, line, kind, old, new)
        seen[said] = seen.get(said, 0) + 1
        digest = hashlib.sha256(repr((*said, seen[said])).encode()).digest()
        fault = Drawn(name, kind, start, end, old, new, lines, scope, int.from_bytes(digest[:6], "big") / 2**48)
        if old != new:
            result.append(fault)
    return result


def compiles(source: bytes) -> bool:
    try:
        compile(source, "mutant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 70 else f"{words[:40]} ... {words[-24:]}"


class _Finder(ast.NodeVisitor):
    def __init__(self, source: bytes):
        self.source, self.found = source, []
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.scope: Scope = "module"
        self.lines = (1, 1)

    # ---- where things stand
    def _place(self, node: ast.AST) -> tuple[int, int]:
        return (
            self.starts[node.lineno - 1] + node.col_offset,  # type: ignore[attr-defined]
            self.starts[node.end_lineno - 1] + node.end_col_offset,  # type: ignore[attr-defined]
        )

    def _text(self, node: ast.AST) -> str:
        start, end = self._place(node)
        return self.source[start:end].decode()

    def _replace(self, kind: str, node: ast.AST, new: str) -> None:
        self.found.append((kind, *self._place(node), new, self.lines, self.scope))

    # ---- what is passed over, and in which scope the rest lies
    def visit(self, node: ast.AST) -> None:
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom, ast.Assert)):
            return
        if isinstance(node, ast.stmt):
            outer, self.lines = self.lines, (node.lineno, _end_of_head(node))
            super().visit(node)
            self.lines = outer
        else:
            super().visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for default in [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]:
            self.visit(default)
        outer = self.scope
        compiled = any("njit" in ast.unparse(decorator) for decorator in node.decorator_list)
        self.scope = "kernel" if compiled else outer if outer == "kernel" else "line"
        for statement in node.body:
            self.visit(statement)
        self.scope = outer

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.body)

    # ---- the faults
    def visit_BinOp(self, node: ast.BinOp) -> None:
        left, right = self._text(node.left), self._text(node.right)
        words = any(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in (node.left, node.right))
        is_type = isinstance(node.op, ast.BitOr) and self.scope == "module"
        if not words and not is_type:
            if sign := SIGNS.get(type(node.op)):
                self._replace("sign", node, f"({left}) {sign} ({right})")
            if isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div)):
                self._replace("dropped term", node, f"({left})")
            if isinstance(node.op, ast.MatMult) and left != right:
                self._replace("order", node, f"({right}) @ ({left})")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if sign := SIGNS.get(type(node.op)):
            self._replace("sign", node, f"{self._text(node.target)} {sign}= {self._text(node.value)}")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, (ast.USub, ast.Not, ast.Invert)):
            kind = "sign" if isinstance(node.op, ast.USub) else "boolean"
            self._replace(kind, node, f"({self._text(node.operand)})")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        for operator, (left, right) in zip(node.ops, pairwise(sides), strict=True):
            between = (self._place(left)[1], self._place(right)[0])
            if any(mark in self.source[slice(*between)] for mark in b"()#"):
                continue
            for new in COMPARISONS[type(operator)]:
                self.found.append(("comparison", *between, f" {new} ", self.lines, self.scope))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._replace("boolean", node, str(not node.value))
        elif isinstance(node.value, int):
            self._replace("constant", node, str(node.value + 1))
        elif isinstance(node.value, float):
            self._replace("constant", node, "1.0" if node.value == 0 else repr(node.value * 2))

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        word = " or " if isinstance(node.op, ast.And) else " and "
        self._replace("boolean", node, "(" + word.join(f"({self._text(value)})" for value in node.values) + ")")
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        self._replace("boolean", node.test, f"not ({self._text(node.test)})")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._replace("boolean", node.test, f"not ({self._text(node.test)})")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if any(word in ast.unparse(node.func) for word in ("Error", "warn", "isinstance", "cast", "TypeVar")):
            return
        pairs = [pair for pair in pairwise(node.args) if not any(isinstance(side, ast.Starred) for side in pair)]
        for first, second in pairs[:2]:
            start, end = self._place(first)[0], self._place(second)[1]
            between = self.source[self._place(first)[1] : self._place(second)[0]].decode()
            words = all(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in (first, second))
            plain = "#" not in between and not between.strip("() \n,") and between.count("(") == between.count(")")
            if plain and not words:
                new = f"{self._text(second)}, {self._text(first)}"
                self.found.append(("swapped arguments", start, end, new, self.lines, self.scope))
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg != "strict":  # of zip: a guard against what other code keeps from happening
            self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            return
        if isinstance(node.value, ast.Tuple) and len(node.value.elts) == 2:
            first, second = (self._text(element) for element in node.value.elts)
            self._replace("return", node.value, f"({second}, {first})")
        elif not isinstance(node.value, ast.Constant):
            self._replace("return", node.value, "None")
        self.generic_visit(node)


def _end_of_head(node: ast.stmt) -> int:
    """Last line of a statement, or of its head where it holds others."""
    body: Iterator[ast.AST] = iter(getattr(node, "body", None) or ())
    first = next(body, None)
    if first is None:
        return node.end_lineno or node.lineno
    return max(node.lineno, first.lineno - 1)  # type: ignore[attr-defined]
