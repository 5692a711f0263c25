"""Raw data -> token shards, with a card that says what they are and a gate that holds it."""

from prefect import flow

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import (
    DataRevision,
    DocumentShards,
    RawData,
    TokenShards,
    Vocabulary,
)
from components.core.processes.ray_driver import kept_ray
from components.data.card import CardInputs
from components.data.decontaminate import DecontaminateInputs
from components.data.deduplicate import DeduplicateInputs
from components.data.ingest import current_revision
from components.data.scan import ScanInputs
from components.data.tokenize import TokenizeInputs
from components.data.validate import ValidateInputs
from components.data.vocabulary_report import VocabularyReportInputs
from flows.cards import card_before
from flows.publish import publish_card
from flows.recipes import Recipe, tiny
from flows.step import preemptible, step


class Prepared(Frozen):
    """What every later stage reads."""

    raw: RawData
    """Documents, instructions and preference prompts at one revision."""
    vocabulary: Vocabulary
    """The tokenizer."""
    shards: TokenShards
    """The clean documents as tokens."""


@flow
@preemptible
@kept_ray()
def data(
    recipe: Recipe = tiny(),
    revision: DataRevision | None = None,
    known: DocumentShards | None = None,
) -> Prepared:
    """Make token shards of `data/` at the revision that `data.dvc` pins.

    With `known`, what an earlier `Deduplicate` made, the documents of this recipe are added to
    those, and only they are read.

    Raises:
        ValueError: the data does not hold what the recipe asks of it.
    """
    raw = step(recipe.ingest, revision or current_revision())
    clean = step(recipe.clean, raw)
    distinct = step(recipe.deduplicate, DeduplicateInputs(documents=clean, known=known))
    unseen = step(recipe.decontaminate, DecontaminateInputs(documents=distinct, raw=raw))
    masked = step(recipe.mask, unseen)
    corpus = step(recipe.split, masked)

    vocabulary = step(recipe.vocabulary, corpus)
    tokens = TokenizeInputs(corpus=corpus, vocabulary=vocabulary)
    step(recipe.vocabulary_report, VocabularyReportInputs(**dict(tokens)))
    shards = step(recipe.tokenize, tokens)
    trained = ScanInputs(
        shards=shards, vocabulary=vocabulary, raw=raw, search=recipe.decontaminate.search
    )
    scanned = step(recipe.scan, trained)

    made = CardInputs(
        raw=raw,
        clean=clean,
        deduplicate=distinct,
        decontaminate=unseen,
        mask=masked,
        corpus=corpus,
        shards=shards,
        scan=scanned,
    )
    card = step(recipe.card, made)
    publish_card(card)
    verdict = step(recipe.validation, ValidateInputs(card=card, previous=card_before(raw.revision)))
    if not verdict.passed:
        raise ValueError(
            f"The data is not fit to train on. {'. '.join(verdict.failures)}. "
            f"Look at {card.path / 'report' / 'card.html'}, then mend the data or the bounds."
        )
    return Prepared(raw=raw, vocabulary=vocabulary, shards=shards)
