"""Who may import whom among our own modules: never in a circle, never upward."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = ("components", "dashboards", "flows", "infra")
MOST_FLOORS = 7
STAGE = "a stage"
HEIGHTS = {
    "flows.command": 6,
    "infra": 5,
    "flows": 4,
    "dashboards": 3,
    STAGE: 3,
    "components.lib": 2,
    "components.core": 1,
}


@cache
def modules() -> dict[str, Path]:
    """Return our modules by name; a package's is its `__init__.py`."""
    files = (file for folder in CODE for file in sorted((ROOT / folder).rglob("*.py")))
    named = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in files}
    return {name.removesuffix(".__init__"): file for name, file in named.items()}


def imported_by(name: str, known: set[str]) -> set[str]:
    """Return those of `known` that a module imports, inside functions too."""
    found = set[str]()
    for node in ast.walk(ast.parse(modules()[name].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} imports by a relative name"
            found |= {_where(str(node.module), alias.name, known) for alias in node.names}
    return found & known - {name}


def _where(module: str, name: str, known: set[str]) -> str:
    """Return the module that `from module import name` is about."""
    return inner if (inner := f"{module}.{name}") in known else module


@cache
def imports() -> dict[str, set[str]]:
    """Return what each of our modules imports of ours."""
    known = set(modules())
    return {name: imported_by(name, known) for name in known}


def house(module: str) -> str:
    """Return the part of the tree that a module belongs to: `flows`, or `components.data`."""
    parts = module.split(".")
    is_deep = parts[0] == "components" or parts[:2] == ["flows", "command"]
    return ".".join(parts[:2] if is_deep else parts[:1])


def height(house: str) -> int:
    return HEIGHTS.get(house, HEIGHTS[STAGE])


def room(module: str) -> str:
    """Return the folder of its house that a module lies in, or nothing."""
    parts = modules()[module].parent.relative_to(ROOT).parts
    size = 1 + len(house(module).split("."))
    return "/".join(parts[:size]) if len(parts) >= size else ""


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return a circle of the graph, if there is one."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_import_runs_in_a_circle():
    assert len(imports()) > 200
    assert not circle(imports())


def test_a_circle_of_imports_would_be_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def test_no_import_runs_upward_or_from_house_to_house_of_one_height():
    pairs = {(one, other) for one, found in imports().items() for other in found}
    upward = [
        f"{one} imports {other}"
        for one, other in sorted(pairs)
        if house(one) != house(other) and height(house(one)) <= height(house(other))
    ]
    assert not upward


def test_rooms_of_a_house_import_each_other_in_one_direction():
    graph: dict[str, set[str]] = {}
    for module, found in imports().items():
        others = {room(other) for other in found} - {room(module), ""}
        graph.setdefault(room(module), set()).update(others)
    del graph[""]
    assert len(graph) > 20
    assert not circle(graph)


def test_flows_are_at_most_seven_floors_deep():
    """The longest chain of imports below `flows`, without the command that starts them."""
    graph = {
        module: {other for other in found if house(other) == "flows"}
        for module, found in imports().items()
        if house(module) == "flows"
    }
    floors: dict[str, int] = {}
    for module in TopologicalSorter(graph).static_order():
        floors[module] = 1 + max((floors[other] for other in graph[module]), default=0)
    assert max(floors.values()) <= MOST_FLOORS, floors
