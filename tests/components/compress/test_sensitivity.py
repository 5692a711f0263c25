"""Sensitivity: what a part costs is what the model loses when that part alone is changed."""

import copy
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from components.compress.prune import Prune, PruneInputs
from components.compress.pruning.calibration import Calibration
from components.compress.pruning.methods import Magnitude, Target
from components.compress.pruning.table import TABLE, Table
from components.compress.pruning.treatments import Rounded, Sparser
from components.compress.sensitivity import PICTURE, Sensitivity, SensitivityInputs
from components.lib.models.folders import load_model
from components.lib.models.sparsity import prunable, sparsity_of

TEXT = Calibration(num_sequences=3, sequence_length=48)


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


@pytest.fixture
def inputs(checkpoint, shards) -> SensitivityInputs:
    return SensitivityInputs(model=checkpoint, shards=shards)


def test_each_row_is_the_divergence_of_a_model_that_was_changed_by_hand(inputs, tmp_path):
    treatment = Sparser(method=Magnitude(), levels=(0.5, 0.8))
    report = Sensitivity(treatment=treatment, calibration=TEXT).run(inputs, tmp_path)
    table, model = Table.read(report.path), load_model(inputs.model.path)
    ids = TEXT.read(inputs.shards, inputs.model)
    with torch.no_grad():
        whole = model(input_ids=ids, use_cache=False).logits.log_softmax(-1)
    assert len(table.rows) == 2 * (2 + 7)
    for row in table.rows:
        changed = copy.deepcopy(model)
        for matrix in prunable(changed):
            if matrix.name in row.matrices:
                moments = torch.eye(matrix.weight.shape[1])
                pruned = Magnitude().prune(matrix.weight, moments, Target(row.level))
                matrix.weight.copy_(pruned)
        with torch.no_grad():
            found = changed(input_ids=ids, use_cache=False).logits.log_softmax(-1)
        kl = float((whole.exp() * (whole - found)).sum(-1).mean())
        assert row.kl == pytest.approx(kl, rel=1e-3, abs=1e-6), row.part
        nats = [-s[:, :-1].gather(2, ids[:, 1:, None]).mean() for s in (whole, found)]
        assert row.added_nats == pytest.approx(float(nats[1] - nats[0]), rel=1e-2, abs=1e-5)


def test_parts_are_the_blocks_and_the_kinds_or_each_matrix(inputs, tmp_path):
    sparser = Sparser(levels=(0.5,))
    Sensitivity(treatment=sparser, calibration=TEXT).run(inputs, tmp_path)
    parts = [row.part for row in Table.read(tmp_path).rows]
    assert parts[:3] == ["block 0", "block 1", "self_attn.q_proj"]
    one = Sensitivity(treatment=sparser, parts="matrices", calibration=TEXT)
    one.run(inputs, tmp_path)
    rows = Table.read(tmp_path).rows
    assert [row.matrices for row in rows] == [
        (matrix.name,) for matrix in prunable(load_model(inputs.model.path))
    ]


def test_the_report_names_what_costs_most_and_fewer_bits_cost_more(inputs, tmp_path):
    report = Sensitivity(treatment=Rounded(bits=(4, 8)), calibration=TEXT).run(inputs, tmp_path)
    table = Table.read(tmp_path)
    assert report.levels == (8.0, 4.0)
    at_four = {row.part: row.kl / len(row.matrices) for row in table.rows if row.level == 4}
    at_eight = {row.part: row.kl / len(row.matrices) for row in table.rows if row.level == 8}
    assert max(at_four, key=at_four.__getitem__) == report.most_sensitive
    assert all(at_eight[part] < at_four[part] for part in at_four)


def test_rounding_errs_by_half_a_step_at_most_and_keeps_the_largest():
    weight = torch.randn(6, 70, generator=torch.Generator().manual_seed(0))
    found = Rounded().apply(weight, torch.eye(70), 4)
    for start in (0, 32, 64):
        block, rounded = weight[:, start : start + 32], found[:, start : start + 32]
        step = block.abs().amax(1, keepdim=True) / 7
        assert ((block - rounded).abs() <= step / 2 + 1e-6).all()
        assert torch.allclose(rounded.abs().amax(1), block.abs().amax(1))


def test_the_picture_is_xml_that_names_every_part(inputs, tmp_path):
    Sensitivity(calibration=TEXT).run(inputs, tmp_path)
    tree = ElementTree.parse(tmp_path / PICTURE)
    said = {element.text for element in tree.iter() if element.tag.endswith("text")}
    table = Table.read(tmp_path)
    assert {row.part for row in table.rows} <= said
    bars = [element for element in tree.iter() if element.tag.endswith("title")]
    assert len(bars) == len(table.rows)


def test_prune_reads_it_and_leaves_what_costs_most_densest(inputs, tmp_path):
    treatment = Sparser(levels=(0.25, 0.5, 0.75))
    report = Sensitivity(treatment=treatment, calibration=TEXT, parts="matrices").run(
        inputs, made(tmp_path, "report")
    )
    asked = PruneInputs(model=inputs.model, shards=inputs.shards, sensitivity=report)
    text = Calibration(num_sequences=8, sequence_length=48)
    after = Prune(calibration=text).run(asked, made(tmp_path, "out"))
    model = load_model(after.path)
    found, total = sparsity_of(model), sum(m.weight.numel() for m in prunable(model))
    zeros = sum(found[m.name] * m.weight.numel() for m in prunable(model))
    assert zeros / total == pytest.approx(0.5, abs=0.01)
    assert len({round(share, 2) for share in found.values()}) > 1
    table = Table.read(report.path)
    slopes = {m.name: table.kl_of(m.name)[0.75] / m.weight.numel() for m in prunable(model)}
    dearest, cheapest = (pick(slopes, key=slopes.__getitem__) for pick in (max, min))
    assert found[dearest] < found[cheapest]


def test_a_report_of_rounded_weights_says_nothing_of_sparse_ones(inputs, tmp_path):
    report = Sensitivity(treatment=Rounded(), calibration=TEXT).run(inputs, tmp_path)
    asked = PruneInputs(model=inputs.model, shards=inputs.shards, sensitivity=report)
    with pytest.raises(ValueError, match="is of rounded weights, not of sparse ones"):
        Prune(calibration=Calibration(num_sequences=8, sequence_length=48)).run(asked, tmp_path)


def test_the_same_config_and_inputs_give_the_same_files(inputs, tmp_path):
    folders = [made(tmp_path, name) for name in ("one", "other")]
    for folder in folders:
        Sensitivity(calibration=TEXT).run(inputs, folder)
    for name in (TABLE, PICTURE):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


@pytest.mark.parametrize("levels", [(0.0, 0.5), (0.5, 1.0), (0.5, 0.3), (0.5, 0.5)])
def test_levels_that_are_no_rising_shares_are_refused(levels):
    with pytest.raises(ValueError, match="give shares above 0 and below 1 that rise"):
        Sparser(levels=levels)


def test_bits_that_nothing_is_stored_in_are_refused():
    with pytest.raises(ValueError, match="give numbers from 2 to 8"):
        Rounded(bits=(1,))
