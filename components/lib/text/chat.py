"""How a conversation becomes tokens: the special tokens and the chat template.

The template travels inside the tokenizer, so every stage and every other tool renders alike.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"  # after every document and every answer; BERT's [SEP]
PADDING = "<|pad|>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
MASK = "<|mask|>"  # stands for a token that an encoder must find
CLS = "<|cls|>"  # opens what an encoder reads; what it finds of the whole is read off here
SPECIAL_TOKENS = (END_OF_TEXT, PADDING, USER, ASSISTANT, MASK, CLS)  # in the order of their ids

_MESSAGE = "\0"  # stands for a user's message while the template is rendered

TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ '<|endoftext|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def token_id(tokenizer: "PreTrainedTokenizerFast", token: str) -> int:
    """Return the id of a special token."""
    found = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(found, int), token
    return found


def render_prompt(tokenizer: "PreTrainedTokenizerFast", prompt: str) -> str:
    """Return the text that asks the model to answer one user message."""
    messages = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert isinstance(text, str)
    return text


def encode_prompt(tokenizer: "PreTrainedTokenizerFast", prompt: str) -> list[int]:
    """Return the token ids that ask the model to answer one user message.

    What looks like a special token in it is text: nobody can end a turn from within.
    """
    before, after = render_prompt(tokenizer, _MESSAGE).split(_MESSAGE)
    message = tokenizer.encode(prompt, add_special_tokens=False, split_special_tokens=True)
    frame = (tokenizer.encode(text, add_special_tokens=False) for text in (before, after))
    return [*next(frame), *message, *next(frame)]


def decode(tokenizer: "PreTrainedTokenizerFast", ids: list[int]) -> str:
    """Return the text of some token ids."""
    text = tokenizer.decode(ids)
    assert isinstance(text, str)
    return text
