"""The alternatives of a field: the models of its union."""

from collections.abc import Iterable
from inspect import isclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails, to_jsonable_python


def alternatives(kind: type[BaseModel], path: tuple[str, ...]) -> list[type[BaseModel]]:
    """Return the models that the field at `path` of `kind` may be."""
    found = [kind]
    for name in path:
        fields = [each.model_fields[name] for each in found if name in each.model_fields]
        found = [model for field in fields for model in _models(field.annotation)]
    return found


def defaults(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON of a model's defaults, null for what has none."""
    fields = kind.model_fields.items()
    given = {name: field.get_default(call_default_factory=True) for name, field in fields}
    required = {name for name, field in fields if field.is_required()}
    return {n: None if n in required else to_jsonable_python(v) for n, v in given.items()}


def without_other_alternatives(errors: Iterable[ErrorDetails]) -> list[ErrorDetails]:
    """Return what is wrong with the alternatives that were meant.

    pydantic tells why each alternative does not fit. Those that lack a field that was given were
    not meant, unless all lack one. The name of an alternative is taken out of the place.
    """
    found = list(errors)
    others = {
        each["loc"][:-1]
        for each in found
        if each["type"] == "extra_forbidden" and _is_alternative(each["loc"][-2:-1])
    }
    meant = [each for each in found if not any(each["loc"][: len(o)] == o for o in others)]
    for each in meant or found:
        each["loc"] = tuple(part for part in each["loc"] if not _is_alternative((part,)))
    return meant or found


def _is_alternative(parts: tuple[int | str, ...]) -> bool:
    """Whether a part of a place is the name of a class, or of a class with checks of its own."""
    first = parts[0] if parts else ""
    return isinstance(first, str) and (first[:1].isupper() or first.startswith("function-"))


def _models(annotation: Any) -> list[type[BaseModel]]:
    named = get_args(annotation) or (annotation,)
    return [kind for kind in named if isclass(kind) and issubclass(kind, BaseModel)]
