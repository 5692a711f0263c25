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
    from components.core.sources import essence, reached

    modules = {name: essence(name, root) for name in sorted(reached(module, root))}
    dumps = [f"{name}\n{ast.dump(content)}" for name, content in modules.items() if content]
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
