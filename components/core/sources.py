"""What a component runs, read from the source: its modules, and the libraries that they name.

Nothing is imported for it, so a worker's libraries are known in a process that has none of them.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path
from sys import stdlib_module_names

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
_EVERYWHERE = "numpy"  # random numbers and files: no component is without it


def reached(module: str, root: Path = ROOT) -> set[str]:
    """Return the modules below `components` that `module` runs, itself among them.

    `components.core` does not count: it carries results and makes none.
    """
    seen, waiting = set[str](), [module]
    while waiting:
        name = waiting.pop()
        if name in seen or name.startswith("components.core."):
            continue
        if (content := essence(name, root)) is not None:
            seen.add(name)
            waiting += [found for found in _imported(content) if found.startswith("components.")]
    return seen


def essence(module: str, root: Path = ROOT) -> ast.Module | None:
    """Return what has an effect in a module: no comment, docstring or type checker's import.

    Return None where there is nothing: of a folder of modules, or of what is not below `root`.
    """
    place = root.joinpath(*module.split("."))
    files = (place.with_suffix(".py"), place / "__init__.py")
    content = next((_parsed(file) for file in files if file.is_file()), None)
    return content if content is not None and content.body else None


def libraries(module: str) -> dict[str, str]:
    """Return versions of the libraries that `module` runs, by name of the distribution.

    They are those that its sources import, wherever in the text, and what these require directly.
    """
    named = {_EVERYWHERE}
    for each in reached(module):
        content = essence(each)
        assert content is not None, "it was reached"
        named |= {name.partition(".")[0] for name in _imported(content)}
    found = dict[str, str]()
    for name in named - stdlib_module_names - {"components"}:
        found |= _installed(name)
    return dict(sorted(found.items()))


@cache
def _installed(module: str) -> dict[str, str]:
    """Return the distribution of a library's module and what it requires, if it is installed."""
    name = module if _version(module) else next(iter(_distributions().get(module, [])), "")
    if not name:
        return {}
    lines = map(Requirement, requires(name) or [])
    needed = [each.name for each in lines if not each.marker or each.marker.evaluate({"extra": ""})]
    versions = {canonicalize_name(each): _version(each) for each in (name, *needed)}
    return {each: found for each, found in versions.items() if found is not None}


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Return the names of distributions by module: to read them all takes a while."""
    return packages_distributions()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@cache
def _imported(content: ast.Module) -> tuple[str, ...]:
    """Return the modules that a source imports, with `import_module("name")` too."""
    return tuple(_imports(content))


def _imports(content: ast.Module) -> Iterator[str]:
    for node in ast.walk(content):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno} imports relatively"
            source = node.module or ""
            yield from (source, *(f"{source}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Call) and _last_name(node.func) == "import_module":
            match node.args:
                case [ast.Constant(value=str(name))]:
                    yield name
                case _:
                    continue


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


@cache
def _parsed(file: Path) -> ast.Module:
    return _Essence().visit(ast.parse(file.read_text("utf-8")))


class _Essence(ast.NodeTransformer):
    """Removes what has no effect: docstrings and imports for the type checker alone."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_docstring = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_docstring else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)
