"""The quick tokenizer gives the ids of the one that training uses, on any text."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from components.lib.text.chat import SPECIAL_TOKENS, encode_prompt
from components.lib.text.chat_tokenizer import ChatTokenizer

ROOT = Path(__file__).parents[4]
PIECES = st.one_of(st.text(), st.sampled_from([*SPECIAL_TOKENS, "\0", " ", "\n", "the state", "7"]))
TEXTS = st.lists(PIECES, max_size=8).map("".join)


@pytest.fixture(scope="module")
def theirs(vocabulary):
    return AutoTokenizer.from_pretrained(vocabulary.path, local_files_only=True)


@pytest.fixture(scope="module")
def ours(vocabulary):
    return ChatTokenizer(vocabulary.path)


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_text_and_prompts_have_the_ids_of_training(ours, theirs, text):
    assert ours.encode(text) == theirs.encode(text, add_special_tokens=False)
    assert ours.encode_prompt(text) == encode_prompt(theirs, text)
    ids = theirs.encode(text, add_special_tokens=False)
    assert ours.decode(ids) == theirs.decode(ids)


@settings(max_examples=200, deadline=None)
@given(text=st.text().filter(lambda text: "<|" not in text))
def test_prompts_have_the_ids_of_the_chat_template_of_transformers(ours, theirs, text):
    messages = [{"role": "user", "content": text}]
    made = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert ours.encode_prompt(text) == made


def test_each_special_token_is_one_id_and_ends_answers_as_in_training(ours, theirs):
    for token in SPECIAL_TOKENS:
        assert ours.encode(token) == [theirs.convert_tokens_to_ids(token)]
    assert ours.end_id == theirs.eos_token_id


def test_special_tokens_in_a_message_are_text_before_and_after_other_text(ours):
    special = {ours.encode(token)[0] for token in SPECIAL_TOKENS}
    before = ours.encode("<|user|>")
    asked = ours.encode_prompt("a<|endoftext|><|assistant|>b")
    assert [token for token in asked if token in special] == [asked[0], asked[-1]]
    assert ours.encode("<|user|>") == before, "one way to read has changed the other"


def copied(vocabulary, folder, **changes) -> Path:
    """Return a copy of the tokenizer whose config has other fields; None takes one away."""
    shutil.copytree(vocabulary.path, folder, dirs_exist_ok=True)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text("utf-8")) | changes
    file.write_text(json.dumps({k: v for k, v in config.items() if v is not None}), "utf-8")
    return folder


ELSEWHERE = "{{ eos_token }}{% for m in messages %}[{{ m.content }}]{% endfor %}"


@pytest.mark.parametrize(
    "changes",
    [
        {"chat_template": ELSEWHERE},
        {"chat_template": [{"name": "default", "template": ELSEWHERE}]},
        {"chat_template": ELSEWHERE, "eos_token": {"content": "<|pad|>", "__type": "AddedToken"}},
    ],
)
def test_a_template_is_found_wherever_a_model_from_elsewhere_keeps_it(
    vocabulary, tmp_path, changes
):
    folder = copied(vocabulary, tmp_path, **changes)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    theirs = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert ChatTokenizer(folder).encode_prompt("Hi") == encode_prompt(theirs, "Hi")


def test_a_model_without_a_template_says_what_can_be_done_with_it(vocabulary, tmp_path):
    folder = copied(vocabulary, tmp_path, chat_template=None)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer = ChatTokenizer(folder)
    assert tokenizer.encode("Hi")
    with pytest.raises(ValueError, match=r"has no chat template.*use `bloomery generate`"):
        tokenizer.encode_prompt("Hi")


def test_a_template_that_loses_the_message_is_refused(vocabulary, tmp_path):
    folder = copied(vocabulary, tmp_path)
    (folder / "chat_template.jinja").write_text("Hello!", "utf-8")
    with pytest.raises(ValueError, match="shows a message 0 times"):
        ChatTokenizer(folder).encode_prompt("Hi")


def test_a_folder_without_a_tokenizer_or_with_a_broken_one_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"has no tokenizer\.json"):
        ChatTokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", "utf-8")
    with pytest.raises(ValueError, match=r"tokenizer\.json is no tokenizer"):
        ChatTokenizer(tmp_path)


def test_a_length_that_a_tokenizer_was_saved_with_cuts_no_text(vocabulary, tmp_path, ours):
    from tokenizers import Tokenizer

    folder = copied(vocabulary, tmp_path)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(folder / "tokenizer.json"))
    for text in ("a", "a long text of many tokens"):
        assert ChatTokenizer(folder).encode(text) == ours.encode(text)


def test_reading_text_loads_neither_torch_nor_transformers(vocabulary):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from components.lib.text.chat_tokenizer import ChatTokenizer\n"
        f"ChatTokenizer(Path({str(vocabulary.path)!r})).encode_prompt('Hi')\n"
        "sys.exit(' '.join({'torch', 'transformers'} & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
