"""Chat templates in the manner of the field's models, and tokenizers that have their tokens."""

import json
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from components.lib.models.folders import load_tokenizer


class Style(NamedTuple):
    template: str
    special: tuple[str, ...]
    bos: str
    eos: str
    end: str  # what ends an answer
    before: str = ""  # what stands before the words of an answer, and is learnt
    after: str = ""  # between its words and the end
    system: bool = True  # takes a system prompt
    tools: bool = False


IM = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
    "{% set loop_messages = messages[1:] %}{% else %}{% set loop_messages = messages %}{% endif %}"
    "{% for m in loop_messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if m['role'] == 'user' %}{% set c = m['content'] %}"
    "{% if loop.first and system is defined %}"
    "{% set c = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + c %}{% endif %}"
    "{{ bos_token + '[INST] ' + c.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
_MISTRAL = (
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
    "{% set messages = messages[1:] %}{% endif %}{{ bos_token }}"
    "{% set users = messages | selectattr('role', 'equalto', 'user') | list %}"
    "{% for m in messages %}{% if m['role'] == 'user' %}"
    "{% if tools and m == users[-1] %}"
    "{{ '[AVAILABLE_TOOLS] ' + (tools | tojson) + '[/AVAILABLE_TOOLS]' "
    "}}{% endif %}"
    "{{ '[INST] ' }}{% if m == users[-1] and system is defined %}{{ system + '\\n\\n' }}{% endif %}"
    "{{ m['content'] + '[/INST]' }}"
    "{% elif m['role'] == 'tool' %}"
    "{{ '[TOOL_RESULTS] {\"content\": ' + (m['content'] | tojson) + '}[/TOOL_RESULTS]' }}"
    "{% elif m['tool_calls'] %}{{ '[TOOL_CALLS] [' }}{% for call in m['tool_calls'] %}"
    "{{ call['function'] | tojson }}{% if not loop.last %}, {% endif %}{% endfor %}"
    "{{ ']' + eos_token }}"
    "{% else %}{{ ' ' + m['content'] | trim + eos_token }}{% endif %}{% endfor %}"
)
_QWEN_TOOLS = (
    "{% if tools %}{{ '<|im_start|>system\\n' }}"
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}{% else %}"
    "You are of use.{% endif %}{{ '\\n\\n# Tools\\n' }}"
    "{% for tool in tools %}{{ '\\n' + (tool | tojson) }}{% endfor %}{{ '<|im_end|>\\n' }}"
    "{% elif messages[0]['role'] == 'system' %}"
    "{{ '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    "{% else %}{{ '<|im_start|>system\\nYou are of use.<|im_end|>\\n' }}{% endif %}"
)
_QWEN_RESULT = (
    "{% elif m['role'] == 'tool' %}"
    "{% if loop.first or messages[loop.index0 - 1]['role'] != 'tool' %}"
    "{{ '<|im_start|>user' }}{% endif %}"
    "{{ '\\n<tool_response>\\n' + m['content'] + '\\n</tool_response>' }}"
    "{% if loop.last or messages[loop.index0 + 1]['role'] != 'tool' %}"
    "{{ '<|im_end|>\\n' }}{% endif %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_QWEN_CALLS = (
    "{% for call in m['tool_calls'] %}{% set f = call['function'] %}"
    "{% if not loop.first or m['content'] %}{{ '\\n' }}{% endif %}"
    "{{ '<tool_call>\\n{\"name\": \"' + f['name'] + '\", \"arguments\": ' "
    "+ (f['arguments'] | tojson) + '}\\n</tool_call>' }}{% endfor %}{{ '<|im_end|>\\n' }}"
)
_QWEN25 = (
    _QWEN_TOOLS + "{% for m in messages %}"
    "{% if m['role'] == 'user' or (m['role'] == 'system' and not loop.first) %}"
    "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}"
    "{% elif m['role'] == 'assistant' %}{{ '<|im_start|>assistant\\n' + m['content'] }}"
    + _QWEN_CALLS
    + _QWEN_RESULT
)
_QWEN3 = (
    _QWEN_TOOLS.replace("You are of use.", "") + "{% set ns = namespace(last=-1) %}"
    "{% for m in messages %}{% if m['role'] == 'user' and not "
    "(m['content'].startswith('<tool_response>')) %}{% set ns.last = loop.index0 %}{% endif %}"
    "{% endfor %}"
    "{% for m in messages %}{% if m['role'] == 'user' %}"
    "{{ '<|im_start|>user\\n' + m['content'] + '<|im_end|>\\n' }}"
    "{% elif m['role'] == 'assistant' %}{% set text = m['content'] %}{% set thought = '' %}"
    "{% if '</think>' in text %}"
    "{% set thought = text.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}"
    "{% set text = text.split('</think>')[-1].lstrip('\\n') %}{% endif %}"
    "{% if loop.index0 > ns.last and (loop.last or thought) %}"
    "{{ '<|im_start|>assistant\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' "
    "+ text.lstrip('\\n') }}{% else %}{{ '<|im_start|>assistant\\n' + text }}{% endif %}"
    + _QWEN_CALLS
    + _QWEN_RESULT
)
_LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim "
    "+ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
_COMMAND = (
    "{{ bos_token }}{% for m in messages %}{{ '<|START_OF_TURN_TOKEN|>' }}"
    "{{ {'system': '<|SYSTEM_TOKEN|>', 'user': '<|USER_TOKEN|>', "
    "'assistant': '<|CHATBOT_TOKEN|>'}[m['role']] + m['content'].strip() "
    "+ '<|END_OF_TURN_TOKEN|>' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"
)


def _tagged(end: str = "eos_token", stop: str = "\\n", first: str = "") -> str:
    """Zephyr, OLMo, Phi-3: a role in brackets, a line, the words, an end."""
    return (
        first + "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] }}"
        f"{{% if m['role'] == 'assistant' or {int(not first)} %}}{{{{ {end} }}}}{{% endif %}}"
        f"{{{{ '{stop}' }}}}{{% endfor %}}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
    )


STYLES = {
    "chatml": Style(
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] "
        "+ '<|im_end|>' + '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
        IM,
        "<|endoftext|>",
        "<|endoftext|>",
        "<|im_end|>",
    ),
    "llama2": Style(_LLAMA2, ("<s>", "</s>"), "<s>", "</s>", "</s>", " ", " "),
    "llama3": Style(
        _LLAMA3,
        (
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eot_id|>",
        ),
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|eot_id|>",
    ),
    "mistral-v1": Style(
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
        "{{ '[INST] ' + m['content'] + ' [/INST]' }}{% elif m['role'] == 'assistant' %}"
        "{{ m['content'] + eos_token }}{% else %}"
        "{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}",
        ("<s>", "</s>"),
        "<s>",
        "</s>",
        "</s>",
        system=False,
    ),
    "mistral-v3": Style(
        _MISTRAL,
        ("<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
        "<s>",
        "</s>",
        "</s>",
        " ",
        tools=True,
    ),
    "gemma": Style(
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
        "{{ raise_exception('no system') }}{% endif %}{% for m in messages %}"
        "{{ '<start_of_turn>' + (m['role'] if m['role'] == 'user' else 'model') + '\\n' "
        "+ m['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
        ("<bos>", "<eos>", "<pad>", "<start_of_turn>", "<end_of_turn>"),
        "<bos>",
        "<eos>",
        "<end_of_turn>",
        system=False,
    ),
    "phi3": Style(
        _tagged("'<|end|>'").replace(
            "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
            "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}"
            "{{ eos_token }}{% endif %}",
        ),
        ("<s>", "<|endoftext|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"),
        "<s>",
        "<|endoftext|>",
        "<|end|>",
    ),
    "qwen2.5": Style(_QWEN25, IM, "<|endoftext|>", "<|im_end|>", "<|im_end|>", tools=True),
    "qwen3": Style(
        _QWEN3,
        IM,
        "<|endoftext|>",
        "<|im_end|>",
        "<|im_end|>",
        "<think>\n\n</think>\n\n",
        tools=True,
    ),
    "zephyr": Style(_tagged(), ("<s>", "</s>"), "<s>", "</s>", "</s>"),
    "deepseek": Style(
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] }}"
        "{% elif m['role'] == 'user' %}{{ '<|User|>' + m['content'] }}"
        "{% else %}{{ '<|Assistant|>' + m['content'] + eos_token }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|Assistant|>' }}{% endif %}",
        ("<|begin▁of▁sentence|>", "<|end▁of▁sentence|>", "<|User|>", "<|Assistant|>"),
        "<|begin▁of▁sentence|>",
        "<|end▁of▁sentence|>",
        "<|end▁of▁sentence|>",
    ),
    "smollm2": Style(
        "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}"
        "{{ '<|im_start|>system\\nYou help.<|im_end|>\\n' }}{% endif %}"
        "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
        IM,
        "<|im_start|>",
        "<|im_end|>",
        "<|im_end|>",
    ),
    "alpaca": Style(
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] + '\\n\\n' }}"
        "{% elif m['role'] == 'user' %}{{ '### Instruction:\\n' + m['content'] + '\\n\\n' }}"
        "{% else %}{{ '### Response:\\n' + m['content'] + eos_token + '\\n\\n' }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}",
        ("<s>", "</s>"),
        "<s>",
        "</s>",
        "</s>",
    ),
    "vicuna": Style(
        "{% if messages[0]['role'] != 'system' %}{{ 'A chat. ' }}{% endif %}{% for m in messages %}"
        "{% if m['role'] == 'system' %}{{ m['content'] + ' ' }}"
        "{% elif m['role'] == 'user' %}{{ 'USER: ' + m['content'] + ' ' }}"
        "{% else %}{{ 'ASSISTANT: ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}",
        ("<s>", "</s>"),
        "<s>",
        "</s>",
        "</s>",
        " ",
    ),
    "command-r": Style(
        _COMMAND,
        (
            "<BOS_TOKEN>",
            "<|START_OF_TURN_TOKEN|>",
            "<|END_OF_TURN_TOKEN|>",
            "<|SYSTEM_TOKEN|>",
            "<|USER_TOKEN|>",
            "<|CHATBOT_TOKEN|>",
        ),
        "<BOS_TOKEN>",
        "<|END_OF_TURN_TOKEN|>",
        "<|END_OF_TURN_TOKEN|>",
    ),
    "olmo": Style(_tagged(first="{{ bos_token }}"), ("<|endoftext|>",), *["<|endoftext|>"] * 3),
    "with-generation-marks": Style(
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}"
        "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + '<|im_end|>' }}"
        "{% endgeneration %}{% else %}{{ m['content'] + '<|im_end|>' }}{% endif %}{{ '\\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
        IM,
        "<|endoftext|>",
        "<|im_end|>",
        "<|im_end|>",
    ),
}


def tokenizer_of(folder: Path, style: Style):
    """Save a byte-level tokenizer with a style's tokens and template, whose pad ends turns."""
    names = [*style.special, *sorted(pre_tokenizers.ByteLevel.alphabet()), "in", "Ġa", "swer"]
    merges = [("i", "n"), ("Ġ", "a"), ("s", "w"), ("e", "r"), ("sw", "er")]
    vocab = {name: index for index, name in enumerate([*names, "sw", "er"])}
    made = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(style.special))
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    named = {"bos_token": style.bos, "eos_token": style.eos, "pad_token": style.end}
    (folder / "tokenizer_config.json").write_text(json.dumps(named), "utf-8")
    (folder / "chat_template.jinja").write_text(style.template, "utf-8")
    return load_tokenizer(folder)
