"""ToGGUF: one file, proved in llama.cpp."""

import json
import shutil

import pytest

from components.compress.to_gguf import ToGGUF
from components.lib.inference.llama.gguf_model import LlamaCppModel
from components.lib.models.folders import load_tokenizer

gguf = pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")


@pytest.fixture(scope="module")
def made(instruct, tmp_path_factory):
    return ToGGUF().run(instruct, tmp_path_factory.mktemp("gguf"))


def test_the_file_is_smaller_and_its_sizes_are_those_of_the_disk(made, instruct):
    assert made.bytes_on_disk == (made.path / "model.gguf").stat().st_size
    assert made.bytes_on_disk < 0.5 * instruct.bytes_on_disk
    assert made.original_bytes_on_disk == instruct.bytes_on_disk
    assert made.decode_tokens_per_second > 0
    assert made.original_decode_tokens_per_second > 0
    assert set(made.tensors) == {"F32", "Q8_0"}
    assert made.context_length == 256
    assert made.disagreement < 0.02
    assert made.same_choice > 0.7


def test_ollama_is_told_the_frames_of_the_chat_template_and_where_an_answer_ends(made):
    said = (made.path / "Modelfile").read_text("utf-8")
    assert said == (
        "FROM ./model.gguf\n"
        'TEMPLATE """{{ range .Messages }}{{ if eq .Role "system" }}<|system|>{{ .Content }}'
        '{{ else if eq .Role "user" }}<|user|>{{ .Content }}'
        '{{ else if eq .Role "assistant" }}<|assistant|>{{ .Content }}<|endoftext|>'
        '{{ end }}{{ end }}<|assistant|>"""\n'
        'PARAMETER stop "<|endoftext|>"\n'
    )


def test_its_end_is_that_of_the_tokenizer_and_answers_stop_there(made):
    exported = LlamaCppModel(made.path, num_threads=1)
    tokenizer = load_tokenizer(made.path)
    assert tokenizer.eos_token_id in exported.end_ids
    (answer,) = exported.generate([tokenizer.encode("<|user|>Sort: b a<|assistant|>")], 64)
    assert not exported.end_ids & set(answer)


def test_an_end_that_llama_cpp_cannot_be_told_is_refused(instruct, tmp_path):
    ignored = shutil.ignore_patterns("checkpoints", "artifact.json")
    shutil.copytree(instruct.path, tmp_path / "model", ignore=ignored)
    file = tmp_path / "model" / "generation_config.json"
    said = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**said, "eos_token_id": [0, 300]}), "utf-8")
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match=r"llama\.cpp would not stop at"):
        ToGGUF().run(instruct.model_copy(update={"path": tmp_path / "model"}), tmp_path / "out")
