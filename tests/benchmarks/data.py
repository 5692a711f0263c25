"""Real text as tokens: what the project builds from its packages, through its own components.

Made in a process of its own: the environment that `bloomery` sets would change what peers get.
"""

import os
import subprocess
import sys
from pathlib import Path

from components.core.execute import execute
from components.core.settings import apply_environment
from components.data.clean import Clean
from components.data.deduplicate import Deduplicate, DeduplicateInputs
from components.data.repository.pinned import pinned_files
from components.data.split import Split
from components.data.take_documents import TakeDocuments, documents_in
from components.data.tokenize import Tokenize, TokenizeInputs
from components.data.vocabulary import TrainVocabulary

_ENVIRONMENT = {"BLOOMERY_RAY_ADDRESS": "off", "BLOOMERY_EXPERIMENT": "bench"}


def shards(vocab_size: int) -> Path:
    """Return the folder of the token shards of `data/`: made once, then served."""
    command = [sys.executable, "-m", "tests.benchmarks.data", str(vocab_size)]
    environment = {**os.environ, **_ENVIRONMENT}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.splitlines()[-1])


def _make(vocab_size: int) -> Path:
    apply_environment()
    documents = execute(TakeDocuments(), documents_in(pinned_files()))
    clean = execute(Clean(), documents)
    distinct = execute(Deduplicate(), DeduplicateInputs(documents=clean))
    corpus = execute(Split(), distinct)
    vocabulary = execute(TrainVocabulary(vocab_size=vocab_size), corpus)
    return execute(Tokenize(), TokenizeInputs(corpus=corpus, vocabulary=vocabulary)).path


if __name__ == "__main__":
    sys.stdout.write(f"{_make(int(sys.argv[1]))}\n")
