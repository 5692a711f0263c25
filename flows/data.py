"""What `data.dvc` pins -> token shards, with a card and a gate, and what later stages read."""

from prefect import flow

from components.core.artifacts.base import Frozen
from components.core.artifacts.data import (
    DataRevision,
    DocumentShards,
    EvaluationSets,
    Instructions,
    Preferences,
    TokenShards,
    Vocabulary,
)
from components.core.processes.ray_driver import kept_ray
from components.data.card import CardInputs
from components.data.decontaminate import DecontaminateInputs
from components.data.deduplicate import DeduplicateInputs
from components.data.repository.pinned import pinned_files
from components.data.scan import ScanInputs
from components.data.take_documents import TakeDocuments, documents_in
from components.data.take_evaluation import TakeEvaluation, evaluation_in
from components.data.take_instructions import TakeInstructions, instructions_in
from components.data.take_preferences import TakePreferences, preferences_in
from components.data.tokenize import TokenizeInputs
from components.data.validate import ValidateInputs
from components.data.vocabulary_report import VocabularyReportInputs
from flows.cards import card_before
from flows.publish import publish_card
from flows.recipes import Recipe, tiny
from flows.step import preemptible, step


class Prepared(Frozen):
    """What every later stage reads."""

    vocabulary: Vocabulary
    """The tokenizer."""
    shards: TokenShards
    """The clean documents as tokens."""
    instructions: Instructions
    """What models are fine-tuned on."""
    preferences: Preferences
    """Prompts whose answers are compared."""
    evaluation: EvaluationSets
    """What models are tested on."""


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
    pinned = pinned_files(revision)
    documents = step(TakeDocuments(), documents_in(pinned, recipe.sources))
    instructions = step(TakeInstructions(), instructions_in(pinned))
    preferences = step(TakePreferences(), preferences_in(pinned))
    evaluation = step(TakeEvaluation(), evaluation_in(pinned))

    clean = step(recipe.clean, documents)
    distinct = step(recipe.deduplicate, DeduplicateInputs(documents=clean, known=known))
    asked = DecontaminateInputs(documents=distinct, evaluation=evaluation)
    unseen = step(recipe.decontaminate, asked)
    masked = step(recipe.mask, unseen)
    corpus = step(recipe.split, masked)

    vocabulary = step(recipe.vocabulary, corpus)
    tokens = TokenizeInputs(corpus=corpus, vocabulary=vocabulary)
    step(recipe.vocabulary_report, VocabularyReportInputs(**dict(tokens)))
    shards = step(recipe.tokenize, tokens)
    trained = ScanInputs(
        shards=shards,
        vocabulary=vocabulary,
        evaluation=evaluation,
        search=recipe.decontaminate.search,
    )
    scanned = step(recipe.scan, trained)

    made = CardInputs(
        documents=documents,
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
    verdict = step(recipe.validation, ValidateInputs(card=card, previous=card_before(documents)))
    if not verdict.passed:
        raise ValueError(
            f"The data is not fit to train on. {'. '.join(verdict.failures)}. "
            f"Look at {card.path / 'report' / 'card.html'}, then mend the data or the bounds."
        )
    return Prepared(
        vocabulary=vocabulary,
        shards=shards,
        instructions=instructions,
        preferences=preferences,
        evaluation=evaluation,
    )
