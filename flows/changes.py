"""Changes to a recipe: `align.beta=0.2` reaches any field, by a path as short as it can be."""

import json
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from difflib import get_close_matches
from itertools import combinations
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from flows.alternatives import alternatives, defaults, without_other_alternatives

_Value = TypeVar("_Value", bound=BaseModel)
Path = tuple[str, ...]
Changes = Iterable[str] | Mapping[str, Any]
"""Each `"path=value"`, in order; or an object of `path: value`, which has none."""

_SHOWN = 60  # characters of a value that is refused


def changed(
    recipe: _Value,
    changes: Changes,
    without: Iterable[str] = (),
    fields: Mapping[str, Any] | None = None,
) -> _Value:
    """Return `recipe` with `fields` in place of its own, and then with each change applied.

    The value of a `path=value` is JSON, else text.

    Of a path, what is between two names may be left out as long as only one field is meant:
    `align.beta` is `align.dpo.beta`. A field of another alternative chooses that. An object changes
    the fields that it names and no other; `null` leaves a stage out. The fields `without` are left
    out in the end, so that a run as far as one stage asks nothing of the stages after it.

    Raises:
        ValueError: a path names no field, or several, or a value does not fit; or it depends on the
            order of the changes what they come to, and they have none.
    """
    values = recipe.model_dump(mode="json")
    for name, value in (fields or {}).items():
        if name not in values:
            raise ValueError(f"The recipe has no field {name!r}. {_hint(name, values, values)}")
        _assign(values, (name,), value)
    pairs = assignments(changes)
    if isinstance(changes, Mapping):
        _refuse_order(type(recipe), values, pairs)
    made = _applied(type(recipe), values, pairs)
    return checked(type(recipe), made | dict.fromkeys(without))


def assignments(changes: Changes) -> list[tuple[str, Any]]:
    """Return the path and the value of each change. Raises ValueError for one that is neither."""
    if isinstance(changes, Mapping):  # sorted: PostgreSQL keeps an object in an order of its own
        return sorted(changes.items())
    return [_assignment(change) for change in changes]


def _assignment(change: object) -> tuple[str, Any]:
    path, separator, text = change.partition("=") if isinstance(change, str) else ("", "", "")
    if not separator:
        raise ValueError(f"--set {change!r} has no `=`: write path.to.field=value.")
    return path.strip(), _parsed(text)


def _applied(
    kind: type[BaseModel], values: dict[str, Any], pairs: Iterable[tuple[str, Any]]
) -> dict[str, Any]:
    made = deepcopy(values)
    for path, value in pairs:
        _assign(made, _resolve(kind, made, path), value)
    return made


def _refuse_order(
    kind: type[BaseModel], values: dict[str, Any], pairs: list[tuple[str, Any]]
) -> None:
    for one, other in combinations(pairs, 2):
        if _applied(kind, values, [one, other]) != _applied(kind, values, [other, one]):
            raise ValueError(
                f"--set {one[0]} and --set {other[0]}: what they come to depends on their order, "
                'and an object has none. Leave one out, or write a list: ["path=value", ...].'
            )


def checked(kind: type[_Value], values: dict[str, Any]) -> _Value:
    """Return a recipe of `values`. Raises ValueError with a sentence for each that does not fit."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        told = dict.fromkeys(_told(error))  # no alternative may take it, each for the same reason
        raise ValueError(f"The recipe is not valid. {' '.join(told)}") from error


def _told(error: ValidationError) -> Iterator[str]:
    for each in without_other_alternatives(error.errors()):
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
    values[field] = _merged(values.get(field), value)


def _merged(old: Any, new: Any) -> Any:
    """Return `new`; where both are objects that have the same fields, with the rest of `old`."""
    if not isinstance(old, dict) or not isinstance(new, dict) or not new.keys() <= old.keys():
        return new
    return old | {name: _merged(old[name], value) for name, value in new.items()}


def _resolve(kind: type[BaseModel], values: dict[str, Any], path: str) -> Path:
    """Return the whole path that `path` stands for; `values` may become another alternative."""
    found: Path = ()
    for name in path.split("."):
        place = _at(values, found)
        way = _below(place, name, path, found)
        if way is None:
            way = _choose(kind, values, found, name, path)
        found += way
    return found


def _choose(
    kind: type[BaseModel], values: dict[str, Any], found: Path, name: str, path: str
) -> Path:
    """Make what is at `found` the alternative that has a field `name`; return the way to it."""
    for other in alternatives(kind, found):
        place = defaults(other)
        if (way := _below(place, name, path, found)) is not None:
            _at(values, found[:-1])[found[-1]] = place
            return way
    raise ValueError(_unknown(_at(values, found), name, path, found))


def _below(place: Any, name: str, path: str, found: Path) -> Path | None:
    """Return the way from `place` to the nearest field called `name`."""
    level: list[tuple[Path, Any]] = [((), place)]
    while level:
        level = [
            ((*way, key), child)
            for way, value in level
            if isinstance(value, dict)
            for key, child in value.items()
        ]
        ways = [way for way, _ in level if way[-1] == name]
        if len(ways) > 1:
            meant = ", ".join(".".join(found + way) for way in ways)
            raise ValueError(f"--set {path}: {name!r} may be each of {meant}. Say which.")
        if ways:
            return ways[0]
    return None


def _unknown(place: Any, name: str, path: str, found: Path) -> str:
    where = ".".join(found) or "the recipe"
    if place is None:
        return f"--set {path}: {where} is left out. Bring it in: --set {where}='{{}}'."
    names = sorted({part for way in _ways(place) for part in way})
    if not names:
        return f"--set {path}: {where} is a value and has no field {name!r}."
    return f"--set {path}: {where} has no field {name!r}. {_hint(name, names, place)}"


def _hint(name: str, names: Iterable[str], place: Iterable[str]) -> str:
    close = get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else f"It has: {', '.join(place)}."


def _ways(place: Any) -> Iterator[Path]:
    if isinstance(place, dict):
        for key, child in place.items():
            yield (key,)
            yield from ((key, *way) for way in _ways(child))


def _at(values: Any, path: Path) -> Any:
    for name in path:
        values = values[name]
    return values
