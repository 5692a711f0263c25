"""Raw data -> token shards."""

from prefect import flow

from components.core.artifacts import DataRevision, Frozen, RawData, TokenShards, Vocabulary
from components.data.ingest import current_revision
from components.data.tokenize import TokenizeInputs
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
    """Make token shards of `data/` at the revision that `data.dvc` pins."""
    raw = step(recipe.ingest, revision or current_revision())
    clean = step(recipe.clean, raw)
    distinct = step(recipe.deduplicate, clean)
    corpus = step(recipe.split, distinct)
    vocabulary = step(recipe.vocabulary, corpus)
    shards = step(recipe.tokenize, TokenizeInputs(corpus=corpus, vocabulary=vocabulary))
    return Source(raw=raw, vocabulary=vocabulary, shards=shards)
