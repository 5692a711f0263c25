"""Real text as tokens: what the project builds from its packages, through its own components."""

import os

from components.core.artifacts import TokenShards
from components.core.execute import execute
from components.core.settings import apply_environment
from components.data.clean import Clean
from components.data.ingest import Ingest, current_revision
from components.data.tokenize import Tokenize, TokenizeInputs
from components.data.vocabulary import TrainVocabulary


def shards(vocab_size: int) -> TokenShards:
    """Return the token shards of `data/`; made once, then served from the artifact root."""
    os.environ.setdefault("BLOOMERY_RAY_ADDRESS", "off")
    os.environ.setdefault("BLOOMERY_EXPERIMENT", "bench")
    apply_environment()
    corpus = execute(Clean(), execute(Ingest(), current_revision()))
    vocabulary = execute(TrainVocabulary(vocab_size=vocab_size), corpus)
    return execute(Tokenize(), TokenizeInputs(corpus=corpus, vocabulary=vocabulary))
