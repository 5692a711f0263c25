"""OpenAI's own client against a real server."""

import json

import httpx
import pytest
from openai import AuthenticationError, BadRequestError, NotFoundError

from components.lib.inference.engines import open_engine
from components.lib.inference.generation import Wanted
from components.lib.inference.sampling import Sampling
from components.lib.text.chat_tokenizer import ChatTokenizer
from tests.components.lib.tiny_gguf import tiny_gguf
from tests.infra.serving.parrots import Live, events, serving

GREEDY = {"model": "polly", "temperature": 0}
ASKED = [{"role": "user", "content": "Who's a pretty bird?"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def client(live: Live):
    return live.openai()


def test_the_models_that_are_served_are_listed(client):
    (model,) = client.models.list().data
    assert model.id == "polly"
    assert client.models.retrieve("polly").id == "polly"


def test_a_completion_is_what_the_engine_says(client, parrots):
    engine, tokenizer = open_engine(parrots[0], 1, 1), ChatTokenizer(parrots[0])
    wanted = Wanted(tokenizer.encode_text("Polly wants"), Sampling(max_new_tokens=20))
    said = tokenizer.decode_answer([made.id for made in engine.stream(wanted)])
    engine.close()
    found = client.completions.create(prompt="Polly wants", max_tokens=20, **GREEDY)
    assert found.choices[0].text == said
    assert found.choices[0].finish_reason == "length"
    assert found.usage.prompt_tokens == len("Polly wants")
    assert found.usage.completion_tokens == 20


@pytest.mark.parametrize("drawn", [{"temperature": 0}, {"temperature": 1.2, "seed": 3}])
def test_a_stream_is_the_whole_answer_in_pieces(client, drawn):
    given = {"model": "polly", "messages": ASKED, "max_tokens": 40, **drawn}
    whole = client.chat.completions.create(**given)
    usage = {"include_usage": True}
    chunks = list(client.chat.completions.create(**given, stream=True, stream_options=usage))
    assert chunks[0].choices[0].delta.role == "assistant"
    said = "".join(c.choices[0].delta.content or "" for c in chunks[:-1])
    assert said == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].usage == whole.usage
    assert len(chunks) > 5


def test_several_prompts_and_answers_stream_side_by_side(client):
    given = {**GREEDY, "prompt": ["one", "two", [5, 6, 7]], "max_tokens": 12}
    whole = client.completions.create(**given)
    said = ["", "", ""]
    for chunk in client.completions.create(**given, stream=True):
        said[chunk.choices[0].index] += chunk.choices[0].text
    assert said == [choice.text for choice in whole.choices]
    assert len(set(said)) == 3
    drawn = client.completions.create(model="polly", prompt="one", n=3, seed=1, max_tokens=12)
    assert len({choice.text for choice in drawn.choices}) == 3


def test_the_same_seed_gives_the_same_answer_and_no_seed_another(client):
    def text(**given):
        made = client.completions.create(model="polly", prompt="one", max_tokens=24, **given)
        return made.choices[0].text

    assert text(seed=5) == text(seed=5)
    assert len({text(), text(), text()}) > 1


def test_an_answer_stops_before_a_stop_string_that_pieces_spell(client):
    whole = client.completions.create(prompt="one", max_tokens=40, **GREEDY).choices[0].text
    stop = whole[10:13]
    given = {**GREEDY, "prompt": "one", "max_tokens": 40, "stop": [stop, "never said"]}
    found = client.completions.create(**given).choices[0]
    assert found.text == whole[: whole.index(stop)]
    assert found.finish_reason == "stop"
    pieces = list(client.completions.create(**given, stream=True))
    assert "".join(piece.choices[0].text for piece in pieces) == found.text
    assert pieces[-1].choices[0].finish_reason == "stop"


def test_log_probabilities_are_the_models_own(client):
    given = {**GREEDY, "max_tokens": 6}
    chat = client.chat.completions.create(messages=ASKED, logprobs=True, top_logprobs=3, **given)
    rows = chat.choices[0].logprobs.content
    assert len(rows) == 6
    for row in rows:
        assert row.logprob == row.top_logprobs[0].logprob
        assert len(row.top_logprobs) == 3
        assert row.logprob <= 0
    text = client.completions.create(prompt="one", logprobs=2, **given).choices[0].logprobs
    assert len(text.tokens) == len(text.token_logprobs) == 6
    assert all(1 <= len(best) <= 2 for best in text.top_logprobs)  # two may be spelled alike
    stream = client.chat.completions.create(messages=ASKED, logprobs=True, stream=True, **given)
    told = [row for c in stream if (own := c.choices[0].logprobs) for row in own.content]
    assert [row.logprob for row in told] == pytest.approx([row.logprob for row in rows])


def test_tools_are_shown_to_the_template(client, parrots):
    given = {**GREEDY, "messages": ASKED, "max_tokens": 4}
    without = client.chat.completions.create(**given).usage.prompt_tokens
    shown = client.chat.completions.create(**given, tools=[TOOL]).usage.prompt_tokens
    template = ChatTokenizer(parrots[0]).encode_messages(ASKED, [TOOL])
    assert shown == len(template) > without
    hidden = client.chat.completions.create(**given, tools=[TOOL], tool_choice="none")
    assert hidden.usage.prompt_tokens == without


def test_a_dialogue_with_calls_and_parts_of_text_is_read(client):
    call = {"name": "weather", "arguments": '{"where": "Rome"}'}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Rain?"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "sun"},
    ]
    made = client.chat.completions.create(messages=messages, tools=[TOOL], max_tokens=4, **GREEDY)
    assert made.usage.completion_tokens == 4


def test_what_looks_like_a_special_token_is_text(client):
    plain = client.chat.completions.create(messages=ASKED, max_tokens=1, **GREEDY)
    trick = [{"role": "user", "content": ASKED[0]["content"] + "<|endoftext|>"}]
    made = client.chat.completions.create(messages=trick, max_tokens=1, **GREEDY)
    assert made.usage.prompt_tokens == plain.usage.prompt_tokens + len("<|endoftext|>")


WRONG = [
    ({"prompt": "x" * 5000}, "context_length_exceeded", "leaves no room"),
    ({"prompt": "one", "max_tokens": 5000}, "context_length_exceeded", "do not fit"),
    ({"prompt": ""}, "invalid_prompt", "empty"),
    ({"prompt": [1, 99999]}, "invalid_prompt", "outside the vocabulary"),
    ({"prompt": []}, "invalid_prompt", "no prompt"),
    ({"prompt": ["a"] * 9}, None, "8 at most"),
    ({"prompt": "a", "n": 100}, None, "8 at most"),
    ({"prompt": "a", "temperature": 9}, "invalid_value", "temperature"),
    ({"prompt": "a", "logprobs": 99}, "invalid_value", "logprobs"),
    ({"prompt": "a", "suffix": "b"}, None, "suffix is not supported"),
    ({"prompt": "a", "presence_penalty": 1}, None, "presence_penalty is not supported"),
]


@pytest.mark.parametrize(("given", "code", "message"), WRONG)
def test_what_cannot_be_answered_is_refused_with_the_reason(client, given, code, message):
    with pytest.raises(BadRequestError, match=message) as error:
        client.completions.create(**{**GREEDY, **given})
    assert error.value.code == code


def test_a_model_that_is_not_there_is_named_with_those_that_are(client):
    with pytest.raises(NotFoundError, match=r"no model 'jay' here\. There are: polly"):
        client.chat.completions.create(model="jay", messages=ASKED)
    with pytest.raises(NotFoundError, match="Not Found"):
        client.embeddings.create(model="polly", input="one")


def test_a_form_that_needs_a_grammar_is_refused_where_there_is_none(client):
    with pytest.raises(BadRequestError, match="needs a grammar"):
        client.chat.completions.create(
            messages=ASKED, response_format={"type": "json_object"}, **GREEDY
        )


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"[" * 100_000, b'{"prompt": 1}', b"\xff"]
)
def test_a_body_that_is_no_request_is_refused(live, body):
    for path in ("/v1/completions", "/v1/chat/completions"):
        reply = live.post(path, content=body)
        assert reply.status_code == 400
        assert reply.json()["error"]["type"] == "invalid_request_error"
    assert live.post("/v1/completions", json={"prompt": "a", "max_tokens": 1}).status_code == 200


def test_without_a_name_the_first_model_answers(live):
    reply = live.post("/v1/completions", json={"prompt": "a", "max_tokens": 1})
    assert reply.json()["model"] == "polly"


def test_keys_let_their_clients_in_and_nobody_else(parrots):
    key = "a-key-of-many-letters"
    with serving(f"polly={parrots[0]}", keys={"anna": key}) as live:
        client = live.openai(key)
        assert client.completions.create(prompt="a", max_tokens=1, **GREEDY)
        for wrong in ("none", key[:-1], f"{key}x"):
            with pytest.raises(AuthenticationError, match="A key is needed"):
                live.openai(wrong).completions.create(prompt="a", **GREEDY)
        for path in ("/v1/models", "/metrics"):
            assert httpx.get(f"{live.url}{path}").status_code == 401
        assert httpx.get(f"{live.url}/health").status_code == 200
        found = client.completions.create(prompt="a", max_tokens=1, **GREEDY)
        assert key not in found.model_dump_json()


def test_a_page_that_calls_this_machine_by_a_name_of_its_own_is_sent_away(live):
    reply = httpx.get(f"{live.url}/v1/models", headers={"host": "evil.example"})
    assert reply.status_code == 400


def test_events_are_json_lines_of_the_kind_that_is_asked_for(live):
    body = {"messages": ASKED, "max_tokens": 3, "stream": True, "temperature": 0}
    with httpx.stream("POST", f"{live.url}/v1/chat/completions", json=body) as reply:
        assert reply.headers["content-type"] == "text/event-stream"
        found = events(reply)
    assert {each["object"] for each in found} == {"chat.completion.chunk"}
    assert len({each["id"] for each in found}) == 1
    assert json.dumps(found)


def test_a_gguf_file_answers_with_json_by_a_schema(tmp_path_factory, machine):
    pytest.importorskip("xllamacpp")
    file = tiny_gguf(tmp_path_factory.mktemp("gguf") / "otter.gguf")
    form = {
        "type": "json_schema",
        "json_schema": {"name": "bird", "schema": {"enum": ["owl", "jay"]}},
    }
    given = {"model": "otter", "messages": ASKED, "temperature": 0, "max_tokens": 100}
    with serving(str(file)) as live:
        client = live.openai()
        made = client.chat.completions.create(**given, response_format=form).choices[0]
        assert json.loads(made.message.content) in ("owl", "jay")
        chunks = client.chat.completions.create(**given, response_format=form, stream=True)
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert said == made.message.content
        form["json_schema"]["schema"] = {"type": "nonsense"}
        with pytest.raises(BadRequestError, match="is no JSON schema"):
            client.chat.completions.create(**given, response_format=form)
