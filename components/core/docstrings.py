"""The docstrings below the fields of models, read when somebody asks.

pydantic can read them as it makes each class (`use_attribute_docstrings`): a third of the time that
the flows took to import.
"""

import ast
import inspect
import sys
from functools import cache
from typing import Any

from pydantic import BaseModel


def field_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring of each field that has one, by the name of the field."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        module = sys.modules.get(kind.__module__)
        if module is not None and issubclass(kind, BaseModel) and kind is not BaseModel:
            name = kind.__qualname__.split("[")[0]
            found |= _docstrings(module.__name__).get(name.replace(".<locals>", ""), {})
    return {name: text for name, text in found.items() if name in model.model_fields}


def describe_fields(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Add the docstrings to the JSON schema of a model: a `json_schema_extra` of pydantic."""
    for name, text in field_docstrings(model).items():
        if name in schema.get("properties", {}):
            schema["properties"][name].setdefault("description", text)


@cache
def _docstrings(module: str) -> dict[str, dict[str, str]]:
    """Return the docstrings of all fields of a module, by the qualified name of their class."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):  # made at a prompt
        return {}
    found: dict[str, dict[str, str]] = {}
    _collect(tree, "", found)
    return found


def _collect(node: ast.AST, prefix: str, found: dict[str, dict[str, str]]) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            found[prefix + child.name] = _fields(child)
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _collect(child, f"{prefix}{child.name}.", found)


def _fields(node: ast.ClassDef) -> dict[str, str]:
    found: dict[str, str] = {}
    for field, after in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            found[field.target.id] = inspect.cleandoc(after.value.value)
    return found
