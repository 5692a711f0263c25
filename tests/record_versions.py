"""Record what the source of each component is, so that a change without a new version shows.

`python -m tests.record_versions` after raising a `version`. A change that leaves every file that
the component writes as it is needs no new version: then add `--same-output`.
"""

import argparse
import ast
import hashlib
import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "tests" / "versions.json"
REMEDY = (
    "Raise its `version` and record it with `python -m tests.record_versions`; only if it still "
    "writes the same files, record it with `--same-output` instead."
)
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


class Recorded(TypedDict):
    """A component as it was recorded."""

    version: str
    sha256: str


def component_classes() -> Iterator[type]:
    """Yield every concrete component of `components/<stage>/`."""
    from components.core.component import Component

    for file in sorted((ROOT / "components").glob("*/**/*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        is_stage = parts[1] not in ("core", "lib")
        is_named = re.search(r"^class .*\bComponent\[", file.read_text("utf-8"), re.MULTILINE)
        if not is_stage or not is_named:  # the rest may be heavy
            continue
        name = ".".join(parts)
        for _, found in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            is_own = found.__module__ == name
            if is_own and issubclass(found, Component) and not inspect.isabstract(found):
                yield found


def current() -> dict[str, Recorded]:
    """Return every component's name, version and source hash."""
    return {
        found.__module__.removeprefix("components."): Recorded(
            version=found.version, sha256=source_hash(found.__module__, ROOT)
        )
        for found in component_classes()
    }


def recorded() -> dict[str, Recorded]:
    """Return what was recorded last."""
    return json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}


def source_hash(module: str, root: Path) -> str:
    """Return the sha256 of what a module and all it imports below `components` do.

    Comments, docstrings, types under `TYPE_CHECKING` and `components.core` do not count.
    """
    modules = sorted(_reached(module, root, set()))
    dumps = [f"{name}\n{ast.dump(_tree(_file(name, root)))}" for name in modules]
    return hashlib.sha256("\n".join(dumps).encode()).hexdigest()


def unraised(old: dict[str, Recorded], new: dict[str, Recorded]) -> list[str]:
    """Return the components whose source changed while their version did not."""
    return [
        name
        for name, found in new.items()
        if name in old
        and old[name]["version"] == found["version"]
        and old[name]["sha256"] != found["sha256"]
    ]


def _file(module: str, root: Path) -> Path:
    return root.joinpath(*module.split(".")).with_suffix(".py")


def _reached(module: str, root: Path, seen: set[str]) -> set[str]:
    """Return the modules below `components` that `module` runs, itself among them."""
    if module in seen or module.startswith("components.core.") or not _file(module, root).exists():
        return seen
    seen.add(module)
    for node in ast.walk(_tree(_file(module, root))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            source = node.module or ""
            names = [source, *(f"{source}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name.startswith("components."):
                _reached(name, root, seen)
    return seen


@cache
def _tree(file: Path) -> ast.Module:
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


def main() -> None:
    """Record, unless a version should have been raised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--same-output", action="store_true", help="the files stay the same")
    same_output = parser.parse_args().same_output
    new = current()
    forgotten = unraised(recorded(), new)
    if forgotten and not same_output:
        sys.exit(f"Changed without a new version: {', '.join(forgotten)}. {REMEDY}")
    RECORD.write_text(json.dumps(new, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
