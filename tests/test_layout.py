"""The rules of the house that a machine can check."""

import ast
import re
import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import get_type_hints

import pytest

from components.core.component import Component
from components.core.docstrings import field_docstrings
from tests.record_versions import component_classes
from tests.sharing import ON_ONE_STACK

ROOT = Path(__file__).parents[1]
TOP_LEVEL = {
    "LICENSE",
    "Makefile",
    "README.md",
    "components",
    "constraints.txt",
    "dashboards",
    "data.dvc",
    "findings",
    "flows",
    "infra",
    "pyproject.toml",
    "tests",
}
CODE = ("components", "dashboards", "flows", "infra")
MOST_FILES = 25  # of one folder: what one takes in at a glance
HEAVY = (
    "datasets",
    "datatrove",
    "dvc",
    "mlflow",
    "onnxruntime",
    "py3langid",
    "ray",
    "spacy",
    "torch",
    "trafilatura",
    "transformers",
    "trl",
)
COMPONENTS = list(component_classes())
FLOWS = sorted(file.stem for file in (ROOT / "flows").glob("*.py") if file.stem != "__init__")


def tracked() -> list[str]:
    """Return the files in git, and the new ones that it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.splitlines() if (ROOT / name).exists()]


def sources(*folders: str) -> list[Path]:
    return [file for name in folders for file in sorted((ROOT / name).rglob("*.py"))]


def names(values) -> list[str]:
    return [
        getattr(value, "__module__", str(value)).removeprefix("components.") for value in values
    ]


def test_the_top_level_holds_nothing_but_the_plan_of_the_house():
    found = {name.split("/")[0] for name in tracked()}
    assert {name for name in found if not name.startswith(".")} <= TOP_LEVEL


def test_no_folder_of_code_holds_more_than_25_files_at_one_level():
    folders = {file.parent for file in sources(*CODE)}
    sizes = {str(path.relative_to(ROOT)): len(list(path.glob("*.py"))) for path in folders}
    assert {path: size for path, size in sizes.items() if size > MOST_FILES} == {}


def test_every_finding_has_a_row_in_their_table():
    scripts = sorted((ROOT / "findings").glob("*.sh"))
    table = (ROOT / "findings" / "README.md").read_text("utf-8") if scripts else ""
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert [file.name for file in scripts if not any(file.stem in row for row in rows)] == []


def test_there_are_components_to_check():
    assert len(COMPONENTS) >= 13
    assert {name.split(".")[0] for name in names(COMPONENTS)} >= {
        "data",
        "pretrain",
        "finetune",
        "align",
        "compress",
        "evals",
        "release",
    }


def test_a_module_defines_one_component_at_most():
    modules = names(COMPONENTS)
    assert sorted(set(modules)) == sorted(modules)


@pytest.mark.parametrize("component", COMPONENTS, ids=names(COMPONENTS))
def test_a_component_has_a_version_says_what_it_does_and_describes_every_field(component):
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev)?", component.version), component.version
    assert "version" in vars(component), "the version is inherited"
    assert component.__doc__
    assert component.__doc__ != Component.__doc__
    assert set(component.model_fields) == set(field_docstrings(component))
    hints = get_type_hints(component.run)
    for model in (hints["inputs"], hints["return"]):
        assert model.__doc__, model
        assert set(model.model_fields) == set(field_docstrings(model)), model


@pytest.mark.parametrize("component", COMPONENTS, ids=names(COMPONENTS))
def test_a_component_has_its_mirrored_test(component):
    *folders, name = component.__module__.split(".")
    assert ROOT.joinpath("tests", *folders, f"test_{name}.py").is_file()


def hides(name: str) -> bool:
    """Return whether a module of this name is importable without `flows/` and this checkout."""
    ours = {ROOT, ROOT / "flows"}
    path = [entry for entry in sys.path if entry and Path(entry).resolve() not in ours]
    found = PathFinder.find_spec(name, path)
    return name in sys.stdlib_module_names or (found is not None and found.origin is not None)


@pytest.mark.parametrize("flow", FLOWS)
def test_no_flow_has_the_name_of_a_module_that_it_would_hide(flow):
    """Prefect puts `flows/` first on `sys.path`."""
    assert not hides(flow)


def test_names_of_installed_and_built_in_modules_would_be_noticed():
    assert [hides(name) for name in ("datasets", "types", "tokenizers", "data")] == [True] * 3 + [
        False
    ]


def test_no_flow_imports_anything_heavy():
    code = (
        "import importlib, sys\n"
        f"for flow in {FLOWS!r}:\n"
        "    importlib.import_module(f'flows.{flow}')\n"
        f"    found = set({HEAVY!r}) & {{name.split('.')[0] for name in sys.modules}}\n"
        "    assert not found, f'flows.{flow} imports {found}'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_contracts_import_no_torch():
    code = "import sys, components.core.execute; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("file", sources(*CODE), ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_has_at_most_300_lines(file):
    assert len(file.read_text("utf-8").splitlines()) <= 300


@pytest.mark.parametrize(
    "file", sources("components"), ids=lambda file: str(file.relative_to(ROOT))
)
def test_components_log_and_do_not_print(file):
    calls = [
        node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)
    ]
    printed = [c.lineno for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]
    assert not printed, f"{file.name}, lines {printed}"


def test_files_that_use_the_shared_stack_are_given_to_one_process():
    texts = {file: file.read_text("utf-8") for file in (ROOT / "tests" / "infra").glob("test_*.py")}
    users = {
        str(file.relative_to(ROOT))
        for file, text in texts.items()
        if "stack: Stack" in text and "def stack(" not in text
    }
    assert users == set(ON_ONE_STACK)


def test_tests_have_names_that_are_sentences_and_no_package_of_their_own():
    assert not list((ROOT / "tests").rglob("__init__.py"))
    for file in sources("tests"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert node.name.count("_") >= 3, f"{file.name}: {node.name}"
