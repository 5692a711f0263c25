"""Students: which layers are copied, and that they compute what they did."""

import importlib.util
from pathlib import Path

import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from components.lib.models.fewer_layers import with_layers
from components.lib.models.folders import load_model
from components.lib.models.student import CopiedLayers, NewShape

SMALL = {"vocab_size": 48, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
GROUPS = {"num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 64}


def llama():
    return LlamaForCausalLM(LlamaConfig(**SMALL, **GROUPS, num_hidden_layers=5))


def gemma():
    kinds = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
    return Gemma3ForCausalLM(
        Gemma3TextConfig(**SMALL, **GROUPS, num_hidden_layers=4, layer_types=kinds)
    )


def gpt2():
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=48, n_embd=32, n_layer=2, n_head=2, eos_token_id=[3, 4])
    )


@pytest.mark.parametrize(
    ("num_layers", "keep", "kept"),
    [
        (4, None, [0, 3]),
        (5, None, [0, 2, 4]),
        (12, 6, [0, 2, 4, 7, 9, 11]),
        (30, 1, [0]),
        (6, 6, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_layers_are_spread_evenly_from_the_first_to_the_last(num_layers, keep, kept):
    assert CopiedLayers(keep_layers=keep).kept(num_layers) == kept


@pytest.mark.parametrize("make", [llama, gemma, gpt2])
def test_a_copy_of_all_layers_is_the_model_and_one_of_some_leaves_the_others_out(make, tmp_path):
    torch.manual_seed(0)
    model = make().eval()
    number = model.config.num_hidden_layers
    ids = torch.randint(5, 48, (2, 20))
    with torch.no_grad():
        before = model(input_ids=ids).logits
        assert torch.equal(with_layers(model, range(number))(input_ids=ids).logits, before)
        kept = CopiedLayers().kept(number)
        student = with_layers(model, kept)
        found = student(input_ids=ids).logits
        blocks = model.transformer.h if make is gpt2 else model.model.layers
        for index, block in enumerate(blocks):
            if index not in kept:
                block.forward = lambda hidden, *args, **named: hidden
        assert torch.allclose(found, model(input_ids=ids).logits, atol=1e-5)
    student.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.config.num_hidden_layers == len(kept)
    assert torch.allclose(loaded(input_ids=ids).logits, found, atol=1e-5)
    if make is gemma:
        assert loaded.config.layer_types == ["sliding_attention", "full_attention"]
    if make is gpt2:
        assert loaded.config.eos_token_id == [3, 4]


def test_a_student_reads_on_from_its_keys_and_values_as_it_reads_at_once():
    torch.manual_seed(0)
    student = with_layers(llama().eval(), [0, 2, 4])
    ids = torch.randint(5, 48, (1, 12))
    with torch.no_grad():
        whole = student(input_ids=ids).logits
        begun = student(input_ids=ids[:, :7], use_cache=True)
        rest = student(input_ids=ids[:, 7:], past_key_values=begun.past_key_values)
    assert torch.allclose(rest.logits, whole[:, 7:], atol=1e-5)


def test_a_new_shape_has_the_rows_of_its_teacher_and_the_end_of_a_foreign_tokenizer(tmp_path):
    file = Path(__file__).parents[2] / "pretrain" / "foreign.py"
    spec = importlib.util.spec_from_file_location("foreign", file)
    assert spec is not None and spec.loader is not None
    foreign = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(foreign)
    folder = foreign.smol(tmp_path / "teacher")
    teacher = load_model(folder)
    student = NewShape(depth=1, width=32, num_heads=2, max_length=64).build(teacher, folder, seed=0)
    assert student.config.vocab_size == teacher.config.vocab_size
    assert student.config.eos_token_id is not None
    other = NewShape(depth=1, width=32, num_heads=2, max_length=64).build(teacher, folder, seed=1)
    one = student.get_input_embeddings().weight
    assert not torch.equal(one, other.get_input_embeddings().weight)
