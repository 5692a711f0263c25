"""Packed documents as examples: what a model learns from each is what it would learn alone."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from components.lib.examples.batches import IGNORED, POSITIONS, Batch
from components.lib.examples.documents import DOCUMENT_STARTS, Documents
from components.lib.examples.packed import PackedDocuments, sequences_of
from components.lib.examples.shards import Stream
from components.lib.ledger.chain import batch_hash
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.shape import Shape
from components.lib.objectives.mixture import MixtureNextToken
from components.lib.objectives.next_token import NextToken, model_inputs
from components.lib.training.accumulate import backward
from components.lib.training.parallel import Losses

DECODERS = ("llama", "qwen3", "gpt2", "sliding", "moe")
LENGTH = 96
SIZES = [40, 30, 20, 7, 1, 200, 64, 3, 3, 55, 97, 96, 12]


@pytest.fixture
def folder(tmp_path):
    """Documents of `SIZES` random tokens, in two shards of which the border cuts one."""
    tokens = np.random.default_rng(0).integers(2, 99, sum(SIZES)).astype(np.uint16)
    for index, shard in enumerate(np.split(tokens, [250])):
        np.save(tmp_path / f"shard_{index:05d}.npy", shard)
    np.save(tmp_path / DOCUMENT_STARTS, np.cumsum([0, *SIZES]))
    return tmp_path


def build(architecture, implementation="eager"):
    shape = Shape(
        architecture=architecture,
        width=32,
        num_layers=2,
        num_heads=4,
        num_key_value_heads=4 if architecture == "gpt2" else 2,
        max_length=256,
        window=20,
        num_experts=4,
    )
    model = build_model(shape, 99, SpecialIds(0, 1), seed=0)
    model.set_attn_implementation(implementation)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def whole(examples) -> Batch:
    return examples.batch(np.arange(len(examples)))


def stretches(batch: Batch) -> list[tuple[int, int, int]]:
    """Return the row, the start and the end of each stretch that positions make, padding apart."""
    assert batch.lengths is not None
    found = []
    for row, length in enumerate(batch.lengths.tolist()):
        edges = [*np.flatnonzero(batch.extras[POSITIONS][row, :length] == 0).tolist(), length]
        found += [(row, start, end) for start, end in pairwise(edges)]
    return found


def alone(batch: Batch) -> Batch:
    """Return the same stretches, each in a row of its own and padded."""
    rows = stretches(batch)
    width = max(end - start for _, start, end in rows)
    inputs, targets = np.zeros((len(rows), width), int), np.full((len(rows), width), IGNORED)
    for number, (row, start, end) in enumerate(rows):
        inputs[number, : end - start] = batch.inputs[row, start:end]
        targets[number, : end - start] = batch.targets[row, start:end]
    return Batch(inputs, targets)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("length", [8, LENGTH, 512])
def test_every_token_is_an_input_once_and_a_target_once_but_the_first_of_documents(
    folder, length, masked
):
    examples, stream = PackedDocuments(folder, length, masked), Stream(folder)
    tokens, starts = stream.read(0, len(stream)), np.cumsum([0, *SIZES])
    seen, aims = [], []
    for index in range(len(examples)):
        batch, at = examples.batch(np.array([index])), 0
        for part in examples.parts_in(Documents(folder), index):
            begin = int(starts[part.document])
            for token in range(begin + part.start, begin + part.end):
                assert batch.inputs[0, at] == tokens[token]
                seen.append(token)
                if token + 1 not in starts:
                    assert batch.targets[0, at] == tokens[token + 1]
                    aims.append(token + 1)
                elif not masked and at + 1 < batch.num_tokens():
                    assert batch.targets[0, at] == batch.inputs[0, at + 1]
                else:
                    assert batch.targets[0, at] == IGNORED
                at += 1
        assert batch.num_tokens() == at == examples.num_tokens(np.array([index]))
        assert (batch.targets[0, at:] == IGNORED).all()
    assert sorted(seen) == list(range(len(tokens)))
    assert sorted(aims) == sorted(set(range(len(tokens))) - set(starts.tolist()))


def test_positions_begin_again_in_each_document_and_padding_is_nobodys(folder):
    batch = whole(PackedDocuments(folder, LENGTH, document_mask=True))
    for row, start, end in stretches(batch):
        assert batch.extras[POSITIONS][row, start:end].tolist() == list(range(end - start))
    padding = ~batch.holds_tokens()
    assert padding.any()
    assert not batch.extras[POSITIONS][padding].any()
    assert len(stretches(batch)) == len(SIZES) + 3, "three documents are longer than a sequence"


@pytest.mark.parametrize("implementation", ["eager", "blocked", "sdpa"])
@pytest.mark.parametrize("architecture", DECODERS)
def test_a_documents_logits_in_a_packed_sequence_are_its_logits_alone(
    folder, architecture, implementation
):
    model = build(architecture, implementation).eval()
    batch = whole(PackedDocuments(folder, LENGTH, document_mask=True))
    with torch.no_grad():
        packed = model(**model_inputs(batch), use_cache=False).logits
        unmasked = model(input_ids=torch.from_numpy(batch.inputs), use_cache=False).logits
        for row, start, end in stretches(batch):
            ids = torch.from_numpy(batch.inputs[row : row + 1, start:end])
            expected = model(input_ids=ids, use_cache=False).logits[0]
            torch.testing.assert_close(packed[row, start:end], expected, atol=1e-4, rtol=1e-4)
            if start and end - start > 2:
                assert (unmasked[row, start:end] - expected).abs().max() > 1e-2, "nothing to hide"


def gradient(model, batch, parts=1):
    """Return the mean cross-entropy and its gradient."""
    is_mixture = model.config.model_type == "mixtral"
    # the balance of a mixture is one of sequences: packed or alone they are others
    objective = MixtureNextToken(load_balance=0.0, router_z=0.0) if is_mixture else NextToken()
    model.zero_grad()
    terms = backward(Losses(model, objective), batch, objective.count(batch), parts)
    grads = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return terms["cross_entropy"].item(), torch.cat(grads)


@pytest.mark.parametrize("implementation", ["blocked", "sdpa"])
@pytest.mark.parametrize("architecture", DECODERS)
def test_packed_documents_have_the_loss_and_gradient_of_a_padded_batch_of_single_ones(
    folder, architecture, implementation
):
    model = build(architecture, implementation).double()  # which autocast leaves alone
    batch = whole(PackedDocuments(folder, LENGTH, document_mask=True))
    assert batch.num_targets() == alone(batch).num_targets() == sum(SIZES) - len(SIZES)
    expected, expected_gradient = gradient(model, alone(batch))
    for parts in (1, 4):
        loss, found = gradient(model, batch, parts)
        assert loss == pytest.approx(expected, rel=1e-5)
        assert float((found - expected_gradient).norm() / expected_gradient.norm()) < 1e-4


@pytest.mark.parametrize("packing", ["stream", "best_fit"])
def test_the_stretches_of_either_packing_are_learned_from_as_if_alone(folder, packing):
    model = build("llama", "blocked").double()
    batch = whole(sequences_of(folder, LENGTH, packing, document_mask=True))
    expected, expected_gradient = gradient(model, alone(batch))
    loss, found = gradient(model, batch)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert float((found - expected_gradient).norm() / expected_gradient.norm()) < 1e-4
    without = whole(sequences_of(folder, LENGTH, packing))
    assert float((gradient(model, without)[1] - expected_gradient).norm()) > 0.1


@pytest.mark.parametrize("masked", [False, True])
def test_the_width_of_a_packed_batch_is_that_of_a_sequence_whatever_it_holds(folder, masked):
    examples = PackedDocuments(folder, 512, masked)
    last = examples.batch(np.array([len(examples) - 1]))
    assert last.num_tokens() < 512
    assert last.trimmed().inputs.shape == (1, 512)
    assert last.num_targets() <= last.num_tokens()


def test_the_ledgers_hash_tells_masked_documents_from_others(folder):
    hashes = {
        batch_hash(sequences_of(folder, LENGTH, packing, masked).batch(np.array([0])))
        for packing in ("stream", "best_fit")
        for masked in (False, True)
    }
    assert len(hashes) == 4


def test_a_document_names_the_sequences_that_hold_it_and_a_sequence_its_documents(folder):
    examples, documents = PackedDocuments(folder, LENGTH), Documents(folder)
    by_sequence = [p for n in range(len(examples)) for p in examples.parts_in(documents, n)]
    by_document = [p for n in range(len(documents)) for p in examples.parts_of(documents, n)]
    assert sorted(by_sequence) == sorted(by_document)
    assert sum(part.end - part.start for part in by_document) == sum(SIZES)
    for chosen in (0, 2):
        seen = np.arange(len(examples)) == chosen
        held = {part.document for part in by_sequence if part.window == chosen}
        assert examples.documents_in(documents, seen) == len(held)


def test_real_documents_come_out_whole(shards):
    folder = shards.path / "train"
    examples, documents, stream = PackedDocuments(folder, 1024), Documents(folder), Stream(folder)
    for number in range(len(documents)):
        found = []
        for part in examples.parts_of(documents, number):
            row, before = examples.batch(np.array([part.window])).inputs[0], 0
            for other in examples.parts_in(documents, part.window):
                if other == part:
                    found += row[before : before + part.end - part.start].tolist()
                before += other.end - other.start
        start, end = documents.starts[number : number + 2].tolist()
        assert found == stream.read(start, end).tolist()


def test_shards_without_documents_are_an_error_with_the_remedy(tmp_path):
    np.save(tmp_path / DOCUMENT_STARTS, [0])
    with pytest.raises(ValueError, match=r"0 tokens.*bloomery data add"):
        PackedDocuments(tmp_path, 8)
    np.save(tmp_path / "shard_00000.npy", np.zeros(5, np.uint16))
    with pytest.raises(ValueError, match="5 tokens, and documents up to token 0"):
        PackedDocuments(tmp_path, 8)
