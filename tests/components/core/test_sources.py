"""What a component runs, read from its source: modules, and libraries with their versions."""

import importlib.metadata
import platform

import pytest

from components.core.execute import execute
from components.core.record import read_record
from components.core.sources import libraries, reached
from components.data.clean import Clean


def test_the_record_of_a_real_component_names_its_libraries_and_no_others(documents):
    packages = read_record(execute(Clean(), documents).path).packages
    assert packages["python"] == platform.python_version()
    for name in ("ftfy", "trafilatura", "py3langid", "datatrove", "numpy", "lxml"):
        assert packages[name] == importlib.metadata.version(name)
    assert not {"torch", "transformers", "mlflow", "prefect"} & packages.keys()


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("components.pretrain.train", {"torch", "transformers", "tokenizers", "safetensors"}),
        ("components.finetune.sft", {"torch", "transformers", "tokenizers"}),
        ("components.align.dpo", {"torch", "transformers", "numpy"}),
        ("components.compress.quantize", {"onnxruntime", "onnxruntime-genai", "onnx-ir"}),
        ("components.data.mask", {"python-stdnum", "phonenumbers", "spacy"}),
        ("components.release.gate", {"numpy"}),
    ],
)
def test_libraries_are_found_inside_functions_and_by_their_distribution(module, expected):
    found = libraries(module)
    assert expected <= found.keys()
    assert list(found) == sorted(found)
    assert found == libraries(module)


def _write(folder, **sources: str) -> None:
    stage = folder / "components" / "stage"
    stage.mkdir(parents=True, exist_ok=True)
    for name, text in sources.items():
        (stage / f"{name}.py").write_text(text, encoding="utf-8")


def test_modules_are_reached_through_others_and_types_alone_reach_none(tmp_path):
    _write(
        tmp_path,
        method="def run():\n    from components.stage import helper\n",
        helper="import components.stage.end\nfrom components.core.files import sha256\n",
        end="from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from components.stage.types import Kind\n",
        types="Kind = int\n",
    )
    names = {f"components.stage.{name}" for name in ("method", "helper", "end")}
    assert reached("components.stage.method", tmp_path) == names


def test_a_component_that_grew_to_a_folder_is_reached_too(tmp_path):
    (tmp_path / "components" / "stage" / "method").mkdir(parents=True)
    (tmp_path / "components" / "stage" / "__init__.py").write_text('"""A stage."""\n')
    (tmp_path / "components" / "stage" / "method" / "__init__.py").write_text(
        "from components.stage.method import part\n"
    )
    (tmp_path / "components" / "stage" / "method" / "part.py").write_text("PART = 1\n")
    assert reached("components.stage.method", tmp_path) == {
        "components.stage.method",
        "components.stage.method.part",
    }


def test_a_module_that_is_nowhere_below_the_root_has_the_libraries_of_all():
    assert set(libraries("somewhere.else")) == {"numpy"}
