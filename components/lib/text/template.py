"""Chat templates, rendered as transformers renders them but without loading it.

The template of a model from elsewhere is foreign code: it runs in jinja2's sandbox, with the same
names and the same limits as there. Loading transformers and torch takes seconds, and this does not.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace


def render(
    template: str,
    messages: Sequence[Mapping[str, Any]],
    special_tokens: Mapping[str, str],
    asks: bool = True,
    tools: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """Return the text of `messages`; templates read `special_tokens`. If it `asks`, for an answer.

    `tools` are JSON schemas in OpenAI's form, of what may be called.

    Raises:
        ValueError: the template refuses the messages, or is none.
    """
    try:
        return (
            _environment()
            .from_string(template)
            .render(
                messages=messages,
                tools=tools,
                documents=None,
                add_generation_prompt=asks,
                **special_tokens,
            )
        )
    except (TemplateError, TypeError) as error:
        raise ValueError(
            f"The chat template refuses these messages ({error}): "
            "use `bloomery generate`, which reads text as it is."
        ) from error


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    names: dict[str, Any] = environment.globals
    names["raise_exception"] = _raise
    names["strftime_now"] = _now
    names["dict"], names["namespace"] = _Dict(), _Namespace
    return environment


class _Generation(Extension):
    """`{% generation %}` marks what an assistant says, for training: its content is rendered."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> nodes.Node:
        """Return the content of the block, with names of its own."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


class _Dict:
    """`dict` without its attributes, which would lead out of the sandbox."""

    def __call__(self, *pairs: Any, **items: Any) -> dict[Any, Any]:
        return dict(*pairs, **items)

    def fromkeys(self, keys: Any, value: Any = None) -> dict[Any, Any]:
        return dict.fromkeys(keys, value)


class _Namespace(Namespace):
    """`namespace` that stores no name of Python's own."""

    def __init__(*args: Any, **attributes: Any) -> None:
        self, pairs = args[0], args[1:]  # so that a template may call an attribute `self`
        stored = dict(*pairs, **attributes)
        for name in stored:
            _refuse_private(name)
        Namespace.__init__(self, stored)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)


def _refuse_private(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace may not store {name!r}")


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _raise(message: str) -> None:
    raise TemplateError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Return JSON as it is, where jinja2's own filter escapes what HTML reserves."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )
