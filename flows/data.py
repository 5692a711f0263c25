"""Raw data -> token shards, with a card that says what they are and a gate that holds it."""

from prefect import flow

from components.core.artifacts import DataRevision, Frozen, RawData, TokenShards, Vocabulary
from components.data.card import CardInputs
from components.data.ingest import current_revision
from components.data.tokenize import TokenizeInputs
from components.data.validate import ValidateInputs
from flows.cards import card_before
from flows.publish import publish_card
from flows.recipes import Recipe, tiny
from flows.step import preemptible, step


class Source(Frozen):
    """What every later stage reads."""

    raw: RawData
    """Documents, instructions and preference prompts at one revision."""
    vocabulary: Vocabulary
    """The tokenizer."""
    shards: TokenShards
    """The clean documents as tokens."""


@flow
@preemptible
def data(recipe: Recipe = tiny(), revision: DataRevision | None = None) -> Source:
    """Make token shards of `data/` at the revision that `data.dvc` pins.

    Raises:
        ValueError: the data does not hold what the recipe asks of it.
    """
    raw = step(recipe.ingest, revision or current_revision())
    clean = step(recipe.clean, raw)
    distinct = step(recipe.deduplicate, clean)
    corpus = step(recipe.split, distinct)
    vocabulary = step(recipe.vocabulary, corpus)
    shards = step(recipe.tokenize, TokenizeInputs(corpus=corpus, vocabulary=vocabulary))

    made = CardInputs(
        raw=raw,
        clean=clean,
        deduplicate=distinct,
        decontaminate=distinct,
        mask=distinct,
        corpus=corpus,
        shards=shards,
    )
    card = step(recipe.card, made)
    publish_card(card)
    verdict = step(recipe.validation, ValidateInputs(card=card, previous=card_before(raw.revision)))
    if not verdict.passed:
        raise ValueError(
            f"The data is not fit to train on. {'. '.join(verdict.failures)}. "
            f"Look at {card.path / 'report' / 'card.html'}, then mend the data or the bounds."
        )
    return Source(raw=raw, vocabulary=vocabulary, shards=shards)
