"""Chat templates: rendered as transformers renders them, and as closed to foreign code."""

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from components.lib.text.chat import TEMPLATE
from components.lib.text.template import render

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " <b>\"a\" & 'b'</b> \n"},
    {"role": "assistant", "content": "Yes."},
    {"role": "user", "content": "Ünï 🜂"},
]
TEMPLATES = {
    "ours": TEMPLATE,
    "ChatML": (
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' "
        "+ message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "special tokens and a namespace": (
        "{{ bos_token }}{% set ns = namespace(system='', self=1) %}\n"
        "{% for m in messages %}\n"
        "  {% if m.role == 'system' %}{% set ns.system = m.content %}{% continue %}{% endif %}\n"
        "  [{{ loop.index0 }}{{ ns.system | trim }}] {{ m['content'] | trim }}{{ eos_token }}\n"
        "{% endfor %}\n"
    ),
    "JSON as it is": "{{ messages | tojson }}{{ dict(a=1).items() | list }}",
    "what an assistant says": (
        "{% set x = 1 %}{% for m in messages %}{% generation %}{% set x = 2 %}{{ m.content }}"
        "{{ x }}{% endgeneration %}{{ x }}"
        "{% if loop.index == 3 %}{% break %}{% endif %}{% endfor %}"
    ),
    "nothing for tools": "{% if tools %}tools{% endif %}{{ documents is none }}{{ undefined }}",
    "the day": "{{ strftime_now('%Y-%m-%d') }}",
}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_text_is_what_transformers_renders(template):
    (theirs,), _ = render_jinja_template(
        [TALK], chat_template=template, add_generation_prompt=True, **TOKENS
    )
    assert render(template, TALK, TOKENS) == theirs


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ dict.__class__() }}",
        "{% set ns = namespace(_x=1) %}",
        "{{ raise_exception('Roles must alternate') }}",
        "{% for %}",
    ],
)
def test_a_template_that_reaches_for_more_or_refuses_is_an_error_that_says_so(template):
    with pytest.raises(ValueError, match="The chat template refuses these messages"):
        render(template, TALK, TOKENS)


def test_what_a_template_says_when_it_refuses_is_passed_on():
    template = "{{ raise_exception('Roles must alternate') }}"
    with pytest.raises(ValueError, match=r"\(Roles must alternate\): use `bloomery generate`"):
        render(template, TALK, TOKENS)
