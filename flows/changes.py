"""Changes to a recipe: `align.beta=0.2` reaches any field, by a path as short as it can be."""

import json
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from inspect import isclass
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

_Value = TypeVar("_Value", bound=BaseModel)
Path = tuple[str, ...]

CHOICE = "method"
"""Field of a stage that says which of its alternatives it is."""

_SHOWN = 60  # characters of a value that is refused


def changed(recipe: _Value, changes: Iterable[str]) -> _Value:
    """Return `recipe` with each `path=value` applied; a value is JSON, else text.

    Of a path, what is between two names may be left out as long as only one field is meant:
    `align.beta` is `align.dpo.beta`. An object changes the fields that it names and no other;
    `null` leaves a stage out.

    Raises:
        ValueError: a path names no field, or several, or a value does not fit.
    """
    values = recipe.model_dump(mode="json")
    for assignment in changes:
        path, separator, text = assignment.partition("=")
        if not separator:
            raise ValueError(f"--set {assignment!r} has no `=`: write path.to.field=value.")
        *parents, field = _resolve(values, path.strip())
        value = _parsed(text)
        if field == CHOICE and value != _at(values, (*parents, field)):
            *parents, field = parents
            value = _alternative(type(recipe), (*parents, field), value)
        _assign(values, (*parents, field), value)
    return checked(type(recipe), values)


def checked(kind: type[_Value], values: dict[str, Any]) -> _Value:
    """Return a recipe of `values`. Raises ValueError with a sentence for each that does not fit."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ValueError(f"The recipe is not valid. {' '.join(_told(error))}") from error


def merged(old: Any, new: Any) -> Any:
    """Return `new`, where both are objects with what `old` has beside it."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    if new.get(CHOICE, old.get(CHOICE)) != old.get(CHOICE):
        return new  # another alternative has other fields
    return old | {name: merged(old.get(name), value) for name, value in new.items()}


def _told(error: ValidationError) -> Iterator[str]:
    for each in error.errors():
        where = ".".join(str(part) for part in each["loc"])
        what = each["msg"].removeprefix("Value error, ")
        if each["type"] == "value_error":
            yield f"{where}: {what}" if where else what
        else:
            yield f"{where}: {what}, not {repr(each['input'])[:_SHOWN]}."


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _assign(values: dict[str, Any], path: Path, value: Any) -> None:
    *parents, field = path
    for name in parents:
        values = values[name]
    values[field] = merged(values.get(field), value)


def _alternative(kind: type[BaseModel], path: Path, choice: Any) -> dict[str, Any]:
    """Return the defaults of the alternative of a stage that is called `choice`."""
    for name in path[:-1]:
        (kind,) = _models(kind.model_fields[name].annotation)
    found = {
        model.model_fields[CHOICE].default: model
        for model in _models(kind.model_fields[path[-1]].annotation)
    }
    if choice not in found:
        known = ", ".join(found)
        raise ValueError(f"--set {'.'.join(path)}.{CHOICE}={choice}: it is one of {known}.")
    return found[choice]().model_dump(mode="json")


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that an annotation names, alone or in a union."""
    named = get_args(annotation) or (annotation,)
    return [kind for kind in named if isclass(kind) and issubclass(kind, BaseModel)]


def _resolve(values: dict[str, Any], path: str) -> Path:
    """Return the whole path that `path` stands for."""
    found: Path = ()
    place: Any = values
    for name in path.split("."):
        found += _below(place, name, path, found)
        place = _at(values, found)
    return found


def _below(place: Any, name: str, path: str, found: Path) -> Path:
    """Return the way from `place` to the nearest field called `name`."""
    level: list[tuple[Path, Any]] = [((), place)]
    while level:
        children = [
            ((*way, key), child)
            for way, value in level
            if isinstance(value, dict)
            for key, child in value.items()
        ]
        ways = [way for way, _ in children if way[-1] == name]
        if len(ways) == 1:
            return ways[0]
        if ways:
            meant = ", ".join(".".join(found + way) for way in ways)
            raise ValueError(f"--set {path}: {name!r} may be each of {meant}. Say which.")
        level = children
    raise ValueError(_unknown(place, name, path, found))


def _unknown(place: Any, name: str, path: str, found: Path) -> str:
    where = ".".join(found) or "the recipe"
    if place is None:
        return (
            f"--set {path}: {where} is left out of this recipe. Bring it in: --set {where}='{{}}'."
        )
    names = sorted({part for way in _ways(place) for part in way})
    if not names:
        return f"--set {path}: {where} is a value and has no field {name!r}."
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"Did you mean {close[0]!r}?" if close else f"It has: {', '.join(place)}."
    return f"--set {path}: {where} has no field {name!r}. {hint}"


def _ways(place: Any) -> Iterator[Path]:
    if isinstance(place, dict):
        for key, child in place.items():
            yield (key,)
            yield from ((key, *way) for way in _ways(child))


def _at(values: Any, path: Path) -> Any:
    for name in path:
        values = values[name]
    return values
