"""A tokenizer that somebody made: its content is its identity, and it must give text back."""

import json
import shutil

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from components.core.files import sha256
from components.data.document import read_documents
from components.data.existing_vocabulary import ExistingVocabulary
from components.data.tokenize import Tokenize, TokenizeInputs
from components.data.vocabulary import TrainVocabulary
from components.lib.examples.shards import BYTE_LENGTHS
from components.lib.models.folders import load_tokenizer
from components.lib.text.chat import SPECIAL_TOKENS, TEMPLATE, encode_prompt
from components.lib.text.tokens import byte_lengths


def _texts(corpus):
    return [document.text for document in read_documents(corpus.path / "train.jsonl")]


@pytest.fixture
def foreign(corpus, tmp_path):
    """A byte-level tokenizer like GPT-2's: one special token, and a word that is no special one."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<s>", "<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(corpus), trainer)
    tokenizer.add_tokens(["the Congress"])
    tokenizer.enable_truncation(10)
    return _saved(tokenizer, tmp_path / "foreign")


@pytest.fixture
def lossy(corpus, tmp_path):
    """A tokenizer like BERT's, which forgets case and spaces."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=300, special_tokens=["[UNK]"], show_progress=False
    )
    tokenizer.train_from_iterator(_texts(corpus), trainer)
    return _saved(tokenizer, tmp_path / "lossy")


def _saved(tokenizer, folder):
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_its_ids_stay_and_ours_come_after_them(corpus, foreign, out):
    before = json.loads((foreign / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    made = ExistingVocabulary(source=str(foreign)).run(corpus, out)
    tokenizer = load_tokenizer(made.path)
    vocab = tokenizer.get_vocab()
    assert {token: vocab[token] for token in before} == before
    added = [vocab[token] for token in SPECIAL_TOKENS if token != "<|endoftext|>"]
    assert added == list(range(401, 401 + len(SPECIAL_TOKENS) - 1))
    assert made.vocab_size == len(tokenizer) == 406
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|endoftext|>", "<|pad|>")
    assert tokenizer.chat_template == TEMPLATE
    assert tokenizer.decode(encode_prompt(tokenizer, "Hi")) == "<|user|>Hi<|assistant|>"
    assert len(tokenizer.encode("a long text " * 20)) > 10, "it truncates"


def test_the_shards_of_its_tokens_have_the_bytes_of_the_text(corpus, foreign, out, tmp_path):
    made = ExistingVocabulary(source=str(foreign)).run(corpus, out)
    (tmp_path / "shards").mkdir()
    inputs = TokenizeInputs(corpus=corpus, vocabulary=made)
    shards = Tokenize().run(inputs, tmp_path / "shards")
    lengths = np.load(shards.path / BYTE_LENGTHS)
    for split, size in shards.num_bytes.items():
        assert lengths[np.load(shards.path / split / "shard_00000.npy")].sum() == size
    word = load_tokenizer(made.path).get_vocab()["the Congress"]
    assert lengths[word] == len("the Congress")


def test_its_fingerprint_is_of_what_the_file_holds_and_not_of_where_it_lies(
    corpus, foreign, tmp_path
):
    component = ExistingVocabulary(source=str(foreign))
    assert component.sha256 == sha256(foreign / "tokenizer.json")
    moved = shutil.copytree(foreign, tmp_path / "moved")
    assert ExistingVocabulary(source=str(moved)).fingerprint(corpus) == component.fingerprint(
        corpus
    )
    file = moved / "tokenizer.json"
    file.write_text(file.read_text("utf-8").replace('"<s>"', '"<t>"'), encoding="utf-8")
    other = ExistingVocabulary(source=str(moved))
    assert other.fingerprint(corpus) != component.fingerprint(corpus)
    lenient = component.model_copy(update={"may_lose_text": True})
    assert lenient.fingerprint(corpus) != component.fingerprint(corpus)


def test_a_recipe_keeps_what_it_was_made_for_and_refuses_another_file(corpus, foreign, out):
    component = ExistingVocabulary(source=str(foreign))
    file = foreign / "tokenizer.json"
    file.write_text(file.read_text("utf-8").replace('"<s>"', '"<t>"'), encoding="utf-8")
    again = ExistingVocabulary.model_validate_json(component.model_dump_json())
    assert again == component
    with pytest.raises(ValueError, match=f"the recipe was made for {component.sha256}"):
        again.run(corpus, out)


def test_one_that_loses_text_is_refused_unless_it_may_and_never_flatters(corpus, lossy, out):
    with pytest.raises(ValueError, match=r"does not give the text of .* back"):
        ExistingVocabulary(source=str(lossy)).run(corpus, out)
    made = ExistingVocabulary(source=str(lossy), may_lose_text=True).run(corpus, out)
    tokenizer = Tokenizer.from_file(str(made.path / "tokenizer.json"))
    lengths = byte_lengths(made.path, made.vocab_size)
    for text in [*_texts(corpus), "漢字 and unknown"]:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert 0 < lengths[ids].sum() < len(text.encode())
    assert lengths[tokenizer.token_to_id("[UNK]")] == 0


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A cache of the hub, and no way to the hub; the library reads its settings when imported."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_name_on_the_hub_is_the_same_as_a_folder_with_its_files(corpus, foreign, hub, out):
    repository, commit = hub / "models--somebody--tokenizer", "c" * 40
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots").mkdir()
    shutil.copytree(foreign, repository / "snapshots" / commit)
    component, local = (
        ExistingVocabulary(source=source) for source in ("somebody/tokenizer", str(foreign))
    )
    assert component.fingerprint(corpus) == local.fingerprint(corpus)
    assert component.run(corpus, out).vocab_size == 406


def test_a_folder_without_a_tokenizer_and_a_name_the_hub_lacks_are_errors(tmp_path, hub):
    with pytest.raises(ValueError, match=r"has no tokenizer\.json"):
        ExistingVocabulary(source=str(tmp_path))
    for name in ("nobody/nothing", str(tmp_path / "a" / "b" / "c")):
        with pytest.raises(ValueError, match="is no folder, and the hub gave no"):
            ExistingVocabulary(source=name)


def test_a_metaspace_tokenizer_with_byte_fallback_counts_its_bytes(tmp_path):
    vocab = {f"<0x{byte:02X}>": byte for byte in range(256)} | {"▁": 256, "▁a": 257, "a": 258}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[("▁", "a")], byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    folder = _saved(tokenizer, tmp_path / "metaspace")
    lengths = byte_lengths(folder, 259)
    assert lengths[256:].tolist() == [1, 2, 1]
    ids = tokenizer.encode("a a é漢").ids
    assert tokenizer.decode(ids) == "a a é漢"
    assert lengths[ids].sum() == len("a a é漢".encode())


def test_one_that_we_trained_is_taken_as_it_is(corpus, vocabulary, out):
    made = ExistingVocabulary(source=str(vocabulary.path)).run(corpus, out)
    assert made.vocab_size == vocabulary.vocab_size
    old, new = (Tokenizer.from_file(str(v.path / "tokenizer.json")) for v in (vocabulary, made))
    assert old.get_vocab() == new.get_vocab()
    component = TrainVocabulary(vocab_size=512)
    assert ExistingVocabulary(source=str(made.path)).fingerprint(corpus) != component.fingerprint(
        corpus
    )
