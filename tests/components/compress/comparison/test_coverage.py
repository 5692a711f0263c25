"""Coverage: read from the files, so that what is small in name alone is found out."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from components.compress.comparison.coverage import coverage
from components.compress.export import export_int8


def test_of_an_export_every_linear_map_is_small(checkpoint, tmp_path) -> None:
    pytest.importorskip("onnxruntime_genai")
    export_int8(checkpoint.path, tmp_path)
    found = coverage(tmp_path)
    config = json.loads((checkpoint.path / "config.json").read_text())
    assert found.share == 1.0
    assert not found.whole
    weights = load_file(checkpoint.path / "model.safetensors")
    tables = [name for name in weights if "embed" in name]
    expected = sum(w.numel() for name, w in weights.items() if w.ndim == 2 and name not in tables)
    if config["tie_word_embeddings"]:
        expected += config["vocab_size"] * config["hidden_size"]
    assert found.num_weights == expected


def test_of_weights_as_they_are_nothing_is_small(checkpoint) -> None:
    found = coverage(checkpoint.path)
    assert found.share < 1e-4
    assert len(found.whole) > 10


def test_zeros_are_counted_map_by_map(tmp_path) -> None:
    half = torch.ones(4, 8)
    half[:2] = 0
    save_file(
        {"a.weight": half, "b.weight": torch.ones(2, 16), "embed.weight": torch.zeros(9, 9)},
        tmp_path / "model.safetensors",
    )
    found = coverage(tmp_path)
    assert (found.num_weights, found.num_small, found.whole) == (64, 16, ("b.weight",))
    assert found.share == 0.25


def test_a_folder_without_a_model_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="no linear maps"):
        coverage(tmp_path)
