"""Attention in blocks equals transformers' eager attention, value and gradient."""

import json

import pytest
import torch
from transformers import AttentionInterface

from components.lib.models import attention_blocks
from components.lib.models.attention_blocks import (
    Documents,
    blocks_of,
    blocks_of_documents,
    note_documents,
)
from components.lib.models.blocked_attention import BLOCKED, attend
from components.lib.models.build import SpecialIds, build_model
from components.lib.models.shape import Shape

CASES = [
    ("llama", 4, 150, 0),
    ("llama", 1, 129, 0),
    ("qwen3", 2, 64, 0),
    ("gpt2", 4, 200, 0),
    ("sliding", 2, 150, 20),
    ("sliding", 2, 300, 100),
    ("sliding", 4, 40, 100),
    ("moe", 2, 130, 0),
]


def build(architecture, key_value_heads=2, window=20):
    shape = Shape(
        architecture=architecture,
        width=64,
        num_layers=2,
        num_heads=4,
        num_key_value_heads=key_value_heads,
        max_length=512,
        window=window or 20,
    )
    model = build_model(shape, 99, SpecialIds(0, 1), seed=0)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def computed(model, name, ids, **inputs):
    """Return logits and the gradient of all weights."""
    model.set_attn_implementation(name)
    model.zero_grad()
    logits = model(input_ids=ids, use_cache=False, **inputs).logits
    torch.manual_seed(2)
    (logits * torch.randn(logits.shape)).sum().backward()
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return logits.detach().float(), torch.cat(gradients)


def distance(one, other):
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize(("architecture", "heads", "length", "window"), CASES)
def test_outputs_and_gradients_are_eagers_in_float32(architecture, heads, length, window):
    model = build(architecture, heads, window)
    ids = torch.randint(2, 99, (3, length))
    expected, found = (computed(model, name, ids) for name in ("eager", BLOCKED))
    assert distance(found[0], expected[0]) < 1e-5
    assert distance(found[1], expected[1]) < 1e-4


@pytest.mark.parametrize(("architecture", "heads", "length", "window"), CASES[::2])
def test_in_bfloat16_it_is_as_near_to_float32_as_eager_is(architecture, heads, length, window):
    model = build(architecture, heads, window)
    ids = torch.randint(2, 99, (3, length))
    exact = computed(model, "eager", ids)
    with torch.autocast("cpu", torch.bfloat16):
        eager, blocked = (computed(model, name, ids) for name in ("eager", BLOCKED))
    for part in (0, 1):
        assert distance(eager[part], exact[part]) > 1e-4, "not computed in bfloat16"
        assert distance(blocked[part], exact[part]) < 1.3 * distance(eager[part], exact[part])


def documents(rows, length):
    """Return positions that begin again elsewhere in each row, and in the last one nowhere."""
    positions = torch.arange(length).repeat(rows, 1)
    for row in range(rows - 1):
        for begin in range(7 + 5 * row, length, 31 + 40 * row):
            positions[row, begin:] = torch.arange(length - begin)
    return positions


@pytest.fixture(params=[0, 30_000, 10**12], ids=["always", "as it is", "never"])
def block_cost(request, monkeypatch):
    """Make documents have blocks of their own always, where it is faster, or never."""
    monkeypatch.setattr(attention_blocks, "_BLOCK_COST", request.param)
    blocks_of_documents.cache_clear()
    yield
    blocks_of_documents.cache_clear()


@pytest.mark.usefixtures("block_cost")
@pytest.mark.parametrize(("architecture", "heads", "length", "window"), CASES)
def test_documents_of_a_sequence_are_hidden_from_each_other_as_eager_hides_them(
    architecture, heads, length, window
):
    model = build(architecture, heads, window)
    ids, positions = torch.randint(2, 99, (3, length)), documents(3, length)
    expected, found, plain = (
        computed(model, name, ids, **inputs)
        for name, inputs in [
            ("eager", {"position_ids": positions}),
            (BLOCKED, {"position_ids": positions}),
            (BLOCKED, {}),
        ]
    )
    assert distance(found[0], expected[0]) < 1e-5
    assert distance(found[1], expected[1]) < 1e-4
    assert distance(plain[0], expected[0]) > 1e-2, "there was nothing to hide"


@pytest.mark.parametrize(("architecture", "heads", "length", "window"), CASES[::3])
def test_documents_in_bfloat16_are_as_near_to_float32_as_eagers_are(
    architecture, heads, length, window
):
    model = build(architecture, heads, window)
    ids, inputs = torch.randint(2, 99, (3, length)), {"position_ids": documents(3, length)}
    exact = computed(model, "eager", ids, **inputs)
    with torch.autocast("cpu", torch.bfloat16):
        eager, blocked = (computed(model, name, ids, **inputs) for name in ("eager", BLOCKED))
    for part in (0, 1):
        assert distance(blocked[part], exact[part]) < 1.3 * distance(eager[part], exact[part])


@pytest.mark.parametrize("window", [None, 20, 300])
def test_blocks_of_documents_hold_each_query_once_and_every_key_that_it_sees(monkeypatch, window):
    monkeypatch.setattr(attention_blocks, "_BLOCK_COST", 0)
    blocks_of_documents.cache_clear()
    begins = ((0, 3, 9, 400, 410, 999), (0, 500))
    blocks = blocks_of_documents(Documents(begins, window), 1000, num_heads=64)
    for row, starts in enumerate(begins):
        own = [block for block in blocks if block.row == row]
        assert [q for b in own for q in range(b.start, b.end)] == list(range(1000))
        for block in own:
            first = max(start for start in starts if start <= block.start)
            assert block.first <= max(first, block.start - (window or 1000) + 1)
            assert block.is_mixed or all(not block.first < s < block.end for s in starts)
    areas = sum(block.area() for block in blocks), sum(n**2 for n in (391, 589, 500, 500))
    assert areas[0] < (0.75 if window != 20 else 0.2) * areas[1]
    blocks_of_documents.cache_clear()


def test_many_short_sequences_are_computed_together():
    documents = Documents(tuple(tuple(range(0, 128, 20)) for _ in range(32)), None)
    assert blocks_of_documents(documents, 128, num_heads=4) == blocks_of(128, None)


def test_a_mask_that_hides_something_else_is_not_taken_for_one_of_documents():
    seen = torch.ones(2, 1, 9, 9, dtype=torch.bool).tril()
    seen[1, 0, 4:, :4] = False
    note_documents(seen, None)
    assert seen.bloomery_documents == Documents(((0,), (0, 4)), None)
    other = seen.clone()
    other[0, 0, 8, 2] = False
    note_documents(other, None)
    assert not hasattr(other, "bloomery_documents")


def test_a_mask_of_documents_is_boolean_and_there_is_none_where_there_is_one_document(monkeypatch):
    model, masks = build("llama"), []

    def spy(module, query, key, value, attention_mask, **options):
        masks.append(attention_mask)
        return attend(module, query, key, value, attention_mask, **options)

    monkeypatch.setitem(AttentionInterface._global_mapping, BLOCKED, spy)
    model.set_attn_implementation(BLOCKED)
    ids = torch.randint(2, 99, (3, 100))
    for positions in (None, torch.arange(100).repeat(3, 1), documents(3, 100)):
        model(input_ids=ids, position_ids=positions, use_cache=False)
    assert [None if mask is None else mask.dtype for mask in masks[::2]] == [None, None, torch.bool]


@pytest.mark.parametrize("architecture", ["llama", "sliding", "bert"])
def test_padding_is_masked_as_eager_masks_it(architecture):
    model = build(architecture, 4)
    ids = torch.randint(2, 99, (3, 40))
    mask = torch.ones_like(ids)
    mask[0, 30:] = 0
    outputs = []
    for name in ("eager", BLOCKED):
        model.set_attn_implementation(name)
        outputs.append(model(input_ids=ids, attention_mask=mask)[0][mask.bool()])
    torch.testing.assert_close(*outputs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "sliding"])
def test_dropped_weights_leave_the_mask_in_place(architecture):
    """With dropout the whole is computed, and still no position sees what comes later."""
    shape = Shape(
        architecture=architecture, width=64, num_layers=1, num_key_value_heads=4, dropout=0.3
    )
    model = build_model(shape, 99, SpecialIds(0, 1), seed=0).train()
    model.set_attn_implementation(BLOCKED)
    ids = torch.randint(2, 99, (1, 20))
    table = model.get_input_embeddings()(ids).detach().requires_grad_()
    for first, positions in ((0, None), (4, torch.tensor([[*range(4), *range(16)]]))):
        table.grad = None
        made = model(inputs_embeds=table, position_ids=positions, use_cache=False).logits
        made[0, 7].square().sum().backward()
        assert not table.grad[0, 8:].any()
        assert not table.grad[0, :first].any()
        assert table.grad[0, 7].any()


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gpt2", "sliding", "moe"])
def test_generation_gives_the_tokens_that_eager_gives(architecture):
    model = build(architecture, 4).eval()
    prompts = torch.randint(2, 99, (2, 25))
    padded = torch.ones_like(prompts)
    padded[0, :5] = 0
    for mask in (torch.ones_like(prompts), padded):
        made = []
        for name in ("eager", BLOCKED):
            model.set_attn_implementation(name)
            made.append(
                model.generate(
                    prompts, attention_mask=mask, max_new_tokens=12, do_sample=False, eos_token_id=0
                )
            )
        assert torch.equal(*made)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 128, 129, 256, 1000])
@pytest.mark.parametrize("window", [None, 1, 20, 64, 300])
def test_blocks_hold_each_query_once_and_every_key_that_it_sees(length, window):
    blocks = blocks_of(length, window)
    assert [q for b in blocks for q in range(b.start, b.end)] == list(range(length))
    for block in blocks:
        assert block.first == max(0, block.start - (window or length) + 1)


def test_keys_before_the_window_and_in_the_future_are_skipped():
    def products(window):
        return sum((b.end - b.start) * (b.end - b.first) for b in blocks_of(1024, window))

    assert products(None) == 0.75 * 1024**2
    assert products(128) < 0.25 * 1024**2


@pytest.mark.parametrize("architecture", ["llama", "moe"])
def test_the_saved_config_does_not_bind_others_to_how_it_was_computed_here(architecture, tmp_path):
    model = build(architecture)
    model.set_attn_implementation(BLOCKED)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert not [name for name in config if "implementation" in name]
    assert BLOCKED not in json.dumps(config)
