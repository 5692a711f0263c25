"""The Modelfile: the frames that a chat template sets around contents."""

import pytest

from components.compress.gguf.ollama import frames_of, modelfile
from components.lib.models.folders import load_tokenizer

CHATML = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<s>Be kind</s>{% endif %}"
    "<{{ m['role'] }}>{{ m['content'] }}</{{ m['role'] }}>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
    "[{{ m['role'][0] }}]{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}[a]{% endif %}"
)
COUNTS = (
    "{% for m in messages %}{{ loop.index }}:{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}>{% endif %}"
)


@pytest.fixture
def tokenizer(vocabulary):
    return load_tokenizer(vocabulary.path)


def test_frames_are_taken_apart_and_a_standing_system_message_opens_a_dialogue(tokenizer):
    tokenizer.chat_template = CHATML
    frames = frames_of(tokenizer)
    assert frames is not None
    assert frames.opening == "<s>Be kind</s>"
    assert frames.around["user"] == ("<user>", "</user>\n")
    assert frames.asking == "<assistant>"
    said = modelfile("model.gguf", tokenizer, {0})
    assert '{{ if ne (index .Messages 0).Role "system" }}<s>Be kind</s>{{ end }}' in said


def test_a_template_without_system_messages_has_two_roles(tokenizer):
    tokenizer.chat_template = NO_SYSTEM
    frames = frames_of(tokenizer)
    assert frames is not None
    assert frames.around == {"user": ("[u]", ""), "assistant": ("[a]", "")}


@pytest.mark.parametrize("template", [COUNTS, None])
def test_a_template_that_does_more_than_frame_is_not_written(template, tokenizer):
    tokenizer.chat_template = template
    assert frames_of(tokenizer) is None
    assert modelfile("model.gguf", tokenizer, {0}) == (
        'FROM ./model.gguf\nPARAMETER stop "<|endoftext|>"\n'
    )
