"""TrainVocabulary: clean documents -> a byte-level BPE tokenizer with a chat template."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from components.core.artifacts import Corpus, Vocabulary
from components.core.component import Component
from components.data.document import read_documents

_NUM_BYTES = 256


class TrainVocabulary(Component[Corpus, Vocabulary]):
    """Learn a byte-level BPE (Sennrich et al. 2016; Radford et al. 2019) from the train split.

    Every text has a token sequence and comes back exactly. Digits are tokens of their own, so that
    a number reads the same wherever it stands. Writes a transformers fast tokenizer.
    """

    version: ClassVar[str] = "1.1.0"

    vocab_size: int = Field(default=4096, gt=_NUM_BYTES, le=65_536)
    """Number of ids, special tokens included; at most what uint16 shards can hold."""

    def run(self, inputs: Corpus, out: Path) -> Vocabulary:
        """Train and save the tokenizer under `out`.

        Raises:
            ValueError: the corpus has fewer distinct pieces than `vocab_size` asks for.
        """
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast

        from components.lib.chat import (
            ASSISTANT,
            CLS,
            END_OF_TEXT,
            MASK,
            PADDING,
            SPECIAL_TOKENS,
            TEMPLATE,
            USER,
        )

        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            special_tokens=list(SPECIAL_TOKENS),
            show_progress=False,
        )
        tokenizer.train_from_iterator(_texts(inputs), trainer)
        size = tokenizer.get_vocab_size()
        if size != self.vocab_size:
            raise ValueError(
                f"The train split yields only {size} tokens, but {self.vocab_size=}. "
                "Add documents with `bloomery data add`, or lower vocab_size."
            )
        fast = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            eos_token=END_OF_TEXT,
            bos_token=END_OF_TEXT,
            pad_token=PADDING,
            mask_token=MASK,
            cls_token=CLS,
            sep_token=END_OF_TEXT,
            additional_special_tokens=[USER, ASSISTANT],
            clean_up_tokenization_spaces=False,
        )
        fast.chat_template = TEMPLATE
        fast.save_pretrained(out)
        return Vocabulary(path=out, vocab_size=size)


def _texts(corpus: Corpus) -> Iterator[str]:
    for document in read_documents(corpus.path / "train.jsonl"):
        yield document.text
