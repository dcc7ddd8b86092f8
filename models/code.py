"""Digests of code: what a module is made of, found by following its imports inside the project.

Read from the syntax tree, so that nothing is imported: asking is quick, and needs no torch.
"""

import ast
import functools
import hashlib
import pathlib
from collections.abc import Iterator

REPOSITORY = pathlib.Path(__file__).parent.parent

PACKAGES = frozenset({"models", "runtimes"})
"""Packages that are followed; what others bring is told by their versions."""


def digest(*modules: str) -> str:
    """Give the SHA-256 over `modules` and all that they import of this project.

    Taken of the syntax trees without docstrings: what only people read decides nothing.
    """
    total = hashlib.sha256()
    for path in sorted(_closure(modules)):
        total.update(f"{path.relative_to(REPOSITORY)} {_meaning(path)}\n".encode())
    return total.hexdigest()


@functools.cache
def _meaning(path: pathlib.Path) -> str:
    tree = _tree(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # Constants that stand alone: docstrings, also those below a field or a constant.
            node.body = [part for part in node.body if not _is_text(part)]
    return hashlib.sha256(ast.dump(tree, annotate_fields=False).encode()).hexdigest()


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@functools.cache
def _tree(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_bytes(), filename=str(path))


def _closure(modules: tuple[str, ...]) -> set[pathlib.Path]:
    found: set[pathlib.Path] = set()
    waiting = [path for module in modules for path in _files(module)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [file for module in _imports(path) for file in _files(module)]
    return found


def _files(module: str) -> Iterator[pathlib.Path]:
    """Give the files of a dotted name: a module, or a package's `__init__.py`; else none."""
    path = REPOSITORY.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            yield candidate


@functools.cache
def _imports(path: pathlib.Path) -> tuple[str, ...]:
    package = path.parent.relative_to(REPOSITORY).parts
    names: list[str] = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names += [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.partition(".")[0] in PACKAGES)
