"""Prune: half of the weights go, and what stays is a model that says what became of it."""

import json
from pathlib import Path

import pytest
import torch

from components.compress.prune import PRUNED, Prune, PruneInputs
from components.compress.pruning.calibration import Calibration
from components.compress.pruning.methods import Magnitude, SparseGPT, Wanda
from components.compress.pruning.table import TABLE, Row, Table
from components.core.artifacts.reports import SensitivityReport
from components.lib.inference.held_out import HeldOut
from components.lib.inference.torch_model import TorchModel
from components.lib.models.companions import TOKENIZER_FILES
from components.lib.models.folders import load_model
from components.lib.models.sparsity import has_pattern, prunable, sparsity_of

TEXT = Calibration(num_sequences=16, sequence_length=64)
METHODS = (SparseGPT(), Wanda(), Magnitude(), Magnitude(scope="global"))


def named(value) -> str:
    return f"{type(value).__name__}-{getattr(value, 'scope', '')}"


@pytest.fixture
def inputs(checkpoint, shards) -> PruneInputs:
    return PruneInputs(model=checkpoint, shards=shards)


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def errors(folder: Path) -> list[float]:
    return [layer["output_error"] for layer in json.loads((folder / PRUNED).read_text())["layers"]]


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_half_of_the_weights_of_the_blocks_go_and_the_rest_of_the_model_stays(
    inputs, tmp_path, method
):
    after = Prune(method=method, calibration=TEXT).run(inputs, tmp_path)
    model, before = load_model(after.path), load_model(inputs.model.path)
    zeros = sum(int((m.weight == 0).sum()) for m in prunable(model))
    assert zeros / sum(m.weight.numel() for m in prunable(model)) == pytest.approx(0.5, abs=0.005)
    if method != Magnitude(scope="global"):
        assert all(share == pytest.approx(0.5, abs=0.01) for share in sparsity_of(model).values())
    pruned = {f"{matrix.name}.weight" for matrix in prunable(model)}
    kept = before.state_dict()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, kept[name]) == (name not in pruned), name
    for name in TOKENIZER_FILES:
        if (inputs.model.path / name).is_file():
            assert (after.path / name).read_bytes() == (inputs.model.path / name).read_bytes()


def test_only_what_makes_up_for_the_zeros_changes_other_weights(inputs, tmp_path):
    before = {m.name: m.weight for m in prunable(load_model(inputs.model.path))}
    for method, changes in ((Wanda(), False), (Magnitude(), False), (SparseGPT(), True)):
        after = Prune(method=method, calibration=TEXT).run(inputs, made(tmp_path, named(method)))
        differs = False
        for matrix in prunable(load_model(after.path)):
            kept = matrix.weight != 0
            differs |= not torch.equal(matrix.weight[kept], before[matrix.name][kept])
        assert differs is changes, named(method)


def test_output_errors_fall_from_magnitude_to_wanda_to_sparsegpt(inputs, tmp_path):
    found = {}
    for method in (Magnitude(), Wanda(), SparseGPT()):
        Prune(method=method, calibration=TEXT).run(inputs, made(tmp_path, named(method)))
        found[named(method)] = errors(tmp_path / named(method))
    first = {name: values[0] for name, values in found.items()}  # of one input for all methods
    magnitude, wanda, sparse = first["Magnitude-layer"], first["Wanda-"], first["SparseGPT-"]
    assert sparse < wanda <= magnitude * 1.05
    assert sum(found["SparseGPT-"]) < 0.9 * sum(found["Magnitude-layer"])


@pytest.mark.parametrize("pattern", ["2:4", "4:8"])
@pytest.mark.parametrize("method", METHODS[:3], ids=named)
def test_a_pattern_holds_exactly_in_every_layer(inputs, tmp_path, method, pattern):
    after = Prune(method=method, pattern=pattern, calibration=TEXT).run(inputs, tmp_path)
    model = load_model(after.path)
    assert all(has_pattern(matrix.weight, pattern) for matrix in prunable(model))
    assert all(share == pytest.approx(0.5, abs=1e-3) for share in sparsity_of(model).values())


def test_the_same_config_and_inputs_give_the_same_files(inputs, tmp_path):
    folders = [made(tmp_path, name) for name in ("one", "other")]
    for folder in folders:
        Prune(calibration=TEXT).run(inputs, folder)
    for name in ("model.safetensors", PRUNED):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_the_report_says_what_the_pruned_model_scores(inputs, shards, tmp_path):
    Prune(calibration=TEXT, method=Wanda()).run(inputs, tmp_path)
    told = json.loads((tmp_path / PRUNED).read_text())
    held_out = HeldOut(shards, "validation", 64, 32)
    for when, folder in (("before", inputs.model.path), ("after", tmp_path)):
        score = held_out.bits_per_byte(TorchModel(load_model(folder)))
        assert told["bits_per_byte"][when] == pytest.approx(score, rel=1e-5)
    assert told["sparsity"] == pytest.approx(0.5, abs=0.005)


def report(folder: Path, model, costs) -> SensitivityReport:
    rows = [
        Row(part=m.name, matrices=(m.name,), level=level, kl=costs(m, level), added_nats=0.0)
        for m in prunable(load_model(model.path))
        for level in (0.25, 0.5, 0.75)
    ]
    table = Table(treatment="magnitude", nats=1.0, rows=tuple(rows))
    (folder / TABLE).write_text(table.model_dump_json())
    return SensitivityReport(
        path=folder,
        model=model.fingerprint,
        treatment="magnitude",
        levels=table.levels(),
        most_sensitive=rows[0].part,
        least_sensitive=rows[0].part,
    )


def test_layers_that_cost_much_by_the_report_stay_denser(inputs, checkpoint, tmp_path):
    def costs(matrix, level: float) -> float:
        return level**2 * matrix.weight.numel() * (9.0 if matrix.block else 1.0)

    said = report(made(tmp_path, "report"), checkpoint, costs)
    told = inputs.model_copy(update={"sensitivity": said})
    after = Prune(calibration=TEXT, method=Wanda()).run(told, made(tmp_path, "out"))
    model = load_model(after.path)
    found = sparsity_of(model)
    first, second = (
        [found[m.name] for m in prunable(model) if m.block == block] for block in (0, 1)
    )
    assert max(second) < 0.5 < min(first)
    zeros = sum(found[m.name] * m.weight.numel() for m in prunable(model))
    assert zeros / sum(m.weight.numel() for m in prunable(model)) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sparsity": 0.0}, "sparsity\n.*greater than 0"),
        ({"sparsity": 1.0}, "sparsity\n.*less than 1"),
        ({"sparsity": 0.6, "pattern": "2:4"}, "pattern=2:4 has a sparsity of 0.5, not 0.6"),
        ({"pattern": "2:4", "method": Magnitude(scope="global")}, "scope=global has no meaning"),
    ],
)
def test_a_config_that_means_nothing_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Prune(**changes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (Calibration(num_sequences=100_000, sequence_length=64), "calibration asks for 100000"),
        (Calibration(num_sequences=1, sequence_length=512), "context of the model, 256 tokens"),
        (Calibration(num_sequences=1, sequence_length=64), "has 64 tokens, and SparseGPT needs"),
    ],
)
def test_too_little_calibration_text_is_refused(inputs, tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        Prune(calibration=text).run(inputs, tmp_path)


def test_an_empty_train_split_is_refused(inputs, shards, tmp_path):
    (tmp_path / "train").mkdir()
    empty = shards.model_copy(update={"path": tmp_path})
    with pytest.raises(ValueError, match="has 0 tokens, fewer than one sequence"):
        Prune(calibration=TEXT).run(inputs.model_copy(update={"shards": empty}), tmp_path)


def test_text_in_tokens_of_another_vocabulary_is_refused(inputs, shards, tmp_path):
    other = shards.model_copy(update={"vocab_size": 100_000})
    with pytest.raises(ValueError, match="has 100000 token ids and the model"):
        Prune(calibration=TEXT).run(inputs.model_copy(update={"shards": other}), tmp_path)
