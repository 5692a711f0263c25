"""Widen: a model and its extended vocabulary -> the model with rows for the new tokens."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import Vocabulary
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.files import write_json
from components.lib.models.companions import BASE_FACTS, copy_tokenizer
from components.lib.text.new_tokens import NewToken, read_new_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class WidenInputs(Frozen):
    """What `Widen` reads."""

    model: Checkpoint
    """The model."""
    vocabulary: Vocabulary
    """Its tokenizer, extended."""


class Widen(Component[WidenInputs, Checkpoint]):
    """Give a model a row of its embeddings, and of its output head, for every new token.

    A new row is the mean of the rows of the tokens that it stands in place of (Hewitt 2021; Koto et
    al. 2021, IndoBERTweet). All other weights stay as they are, and so does what the model makes of
    texts without new tokens. The rows are a beginning: they are learnt by a stage that trains
    embeddings.
    """

    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: WidenInputs, out: Path) -> Checkpoint:
        """Leave the wider model in `out`, with the extended tokenizer.

        Raises:
            ValueError: the tokenizer was not extended.
        """
        from components.lib.models.config import context_length
        from components.lib.models.folders import describe, load_model, save_model

        tokens = list(read_new_tokens(inputs.vocabulary.path))
        if not tokens:
            raise ValueError(f"The vocabulary in {inputs.vocabulary.path} has no new tokens.")
        model = load_model(inputs.model.path)
        widen(model, tokens)
        save_model(model, inputs.model.path, out)
        copy_tokenizer(inputs.vocabulary.path, out)
        facts: dict[str, Any] = json.loads((out / BASE_FACTS).read_text("utf-8"))
        size = inputs.vocabulary.vocab_size
        write_json(out / BASE_FACTS, facts | {"tokens": size, "new_tokens": len(tokens)})
        return describe(out, context_length(model.config.to_dict()))


def widen(model: "PreTrainedModel", tokens: list[NewToken]) -> None:
    """Set rows for new tokens into a model, in place."""
    import torch

    table: Any = model.get_input_embeddings()
    size = max(table.weight.shape[0], tokens[-1].id + 1)  # some models have rows to spare
    model.resize_token_embeddings(size, mean_resizing=False)
    with torch.no_grad():
        for rows in _tables(model):
            for token in tokens:
                rows[token.id] = rows[list(token.parts)].mean(0)


def _tables(model: "PreTrainedModel") -> list[Any]:
    """Return what has a row for each token: embeddings, and a head of its own with its bias."""
    table: Any = model.get_input_embeddings()
    head: Any = model.get_output_embeddings()
    found = [table.weight]
    if head is not None and head.weight is not table.weight:
        found.append(head.weight)
    if head is not None and getattr(head, "bias", None) is not None:
        found.append(head.bias)
    return found
