"""How a conversation becomes tokens: the special tokens and the chat template.

The template travels inside the tokenizer, so every stage and every other tool renders alike.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

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
_ANSWER = "\1"  # stands for an answer

TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ '<|endoftext|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

TEXT_TEMPLATE = TEMPLATE.replace("'<|endoftext|>'", "eos_token")
"""The same for a tokenizer that has none of these tokens but one that ends a text: what marks the
turns is spelled in its own tokens, so that the vocabulary stays as it is."""


def token_id(tokenizer: "PreTrainedTokenizerFast", token: str) -> int:
    """Return the id of a special token."""
    found = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(found, int), token
    return found


def padding_id(tokenizer: "PreTrainedTokenizerFast") -> int:
    """Return the id that fills a batch up.

    It may be the id that ends an answer, which has to be learnt: what is padding is told by places,
    never by this id.
    """
    for found in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if isinstance(found, int):
            return found
    return 0


def answer_end(tokenizer: "PreTrainedTokenizerFast") -> int:
    """Return the id that ends an answer: the first token that the chat template sets after one.

    Where it sets none, that is the token which the tokenizer names as the end.

    Raises:
        ValueError: neither of the two names one.
    """
    messages = [
        {"role": "user", "content": _MESSAGE},
        {"role": "assistant", "content": _ANSWER},
    ]
    after = render(tokenizer, messages, is_open=False).rpartition(_ANSWER)[2]
    added = tokenizer.added_tokens_decoder
    for token in tokenizer.encode(after, add_special_tokens=False):
        if token in added:
            return token
    if isinstance(tokenizer.eos_token_id, int):
        return tokenizer.eos_token_id
    raise ValueError(
        f"Neither the chat template nor the tokenizer of {tokenizer.name_or_path} names a token "
        "that ends an answer. Name one as eos_token in its tokenizer_config.json."
    )


def encode_text(tokenizer: "PreTrainedTokenizerFast", text: str) -> list[int]:
    """Return the ids of text to go on from, after what the tokenizer sets before every text."""
    return [*beginning(tokenizer), *tokenizer.encode(text, add_special_tokens=False)]


def beginning(tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    """Return the ids that the tokenizer sets before every text, such as Llama's beginning."""
    plain, whole = (
        tokenizer.encode("a", add_special_tokens=with_them) for with_them in (False, True)
    )
    return before(plain, whole)


def before(plain: list[int], whole: list[int]) -> list[int]:
    """Return what stands before the ids `plain` within the ids `whole`."""
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return whole[:start]
    return []


def render_prompt(tokenizer: "PreTrainedTokenizerFast", prompt: str) -> str:
    """Return the text that asks the model to answer one user message.

    Raises:
        ValueError: the tokenizer has no chat template, or one that takes no such message.
    """
    return render(tokenizer, [{"role": "user", "content": prompt}], is_open=True)


def render(
    tokenizer: "PreTrainedTokenizerFast",
    messages: Sequence[Mapping[str, Any]],
    is_open: bool,
    tools: list[dict[str, Any]] | None = None,
) -> str:
    """Return the text of messages in OpenAI's form; if it `is_open`, it asks for an answer.

    Raises:
        ValueError: the tokenizer has no chat template, or one that refuses them.
    """
    from jinja2 import TemplateError

    if tokenizer.chat_template is None:
        raise ValueError(
            f"The tokenizer of {tokenizer.name_or_path} has no chat template, and cannot spell "
            "the platform's. Put one into its chat_template.jinja."
        )
    try:
        text = tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tools=cast(Any, tools),
            tokenize=False,
            add_generation_prompt=is_open,
        )
    except (TemplateError, TypeError) as error:
        kind = "a dialogue" if tools or len(messages) > 2 else "a plain dialogue"
        raise ValueError(
            f"The chat template of {tokenizer.name_or_path} refuses {kind} ({error})."
        ) from error
    assert isinstance(text, str)
    return text


def encode_prompt(tokenizer: "PreTrainedTokenizerFast", prompt: str) -> list[int]:
    """Return the token ids that ask the model to answer one user message.

    What looks like a special token in it is text: nobody can end a turn from within. Outer space
    goes where the template trims it.
    """
    parts = render_prompt(tokenizer, _MESSAGE).split(_MESSAGE)
    if len(parts) != 2:
        raise ValueError(
            f"The chat template of {tokenizer.name_or_path} shows a message {len(parts) - 1} "
            "times: it must show it once."
        )
    if prompt != prompt.strip() and render_prompt(tokenizer, f" {_MESSAGE} ") == _MESSAGE.join(
        parts
    ):
        prompt = prompt.strip()
    message = tokenizer.encode(prompt, add_special_tokens=False, split_special_tokens=True)
    frame = (tokenizer.encode(text, add_special_tokens=False) for text in parts)
    return [*next(frame), *message, *next(frame)]


def decode(tokenizer: "PreTrainedTokenizerFast", ids: list[int]) -> str:
    """Return the text of some token ids."""
    text = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text
