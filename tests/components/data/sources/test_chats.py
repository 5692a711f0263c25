import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.document import Document
from components.data.sources.chats import chat_text
from components.data.sources.reading import read
from components.data.sources.source import Reading, Source

CHAT = "user: Why?\n\nassistant: Because of the tide."
OPENAI = [
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "Because of the tide."},
]
SHAREGPT = [{"from": "user", "value": "Why?"}, {"from": "assistant", "value": OPENAI[1]["content"]}]
PARTS = [
    {"role": each["role"], "content": [{"type": "text", "text": each["content"]}]}
    for each in OPENAI
]
TOOL = [OPENAI[0], {"role": "assistant", "content": None}, OPENAI[1]]


@pytest.mark.parametrize("messages", [OPENAI, SHAREGPT, PARTS, TOOL])
@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
def test_a_list_of_messages_is_read_as_a_chat(tmp_path, messages, kind):
    file = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"talk": [messages], "n": [1]}), file)
    else:
        file.write_text(json.dumps({"talk": messages, "n": 1}))
    source = Source(location=str(file), text_column="talk")
    (found,) = read(Reading(source, "mine", tmp_path))
    assert isinstance(found, Document)
    assert (found.text, found.metadata["n"]) == (CHAT, 1)


@pytest.mark.parametrize(
    "value", [[], "text", 5, None, [1], [{"role": "user"}], [{"content": "x"}], [{"role": 1}]]
)
def test_what_is_no_list_of_messages_is_no_chat(value):
    assert chat_text(value) is None


def test_an_array_with_a_quote_too_few_keeps_the_objects_after_it(tmp_path):
    rows = [json.dumps({"text": f"letter {number}"}) for number in range(100)]
    rows[10] = '{"text": "never closed}'
    for name, content in {
        "one line": "[" + ",".join(rows) + "]",
        "a line each": "[\n" + ",\n".join(rows) + "\n]",
        "no array": "\n".join(rows),
    }.items():
        (tmp_path / "a.json").write_text(content)
        found = list(read(Reading(Source(location=str(tmp_path / "a.json")), "mine", tmp_path)))
        texts = {each.text for each in found if isinstance(each, Document)}
        assert len(texts) == 99, name
        assert [each.reason for each in found if not isinstance(each, Document)] == ["not JSON"]
        assert len({each.id for each in found}) == len(found)
