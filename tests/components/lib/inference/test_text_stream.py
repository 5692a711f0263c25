"""Text of an answer in pieces: whole characters, nothing of a stop string, nothing taken back."""

from hypothesis import given, settings
from hypothesis import strategies as st

from components.lib.inference.text_stream import TextStream


def by_bytes(ids) -> str:
    """Decode tokens that are bytes, as byte-level tokenizers do."""
    return bytes(ids).decode("utf-8", "replace")


def pieces(text: str, stops: list[str]) -> tuple[list[str], bool]:
    stream = TextStream(by_bytes, stops)
    found: list[str] = []
    for token in text.encode():
        found.append(stream.push(token))
        if stream.is_stopped:
            break
    found.append(stream.finish())
    return found, stream.is_stopped


def cut(text: str, stops: list[str]) -> str:
    """Cut a text before the stop string that is whole first, read letter by letter."""
    for end in range(len(text) + 1):
        for stop in stops:
            if stop and text[:end].endswith(stop):
                return text[: min(text.index(s) for s in stops if s and s in text[:end])]
    return text


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "ab", "é", "漢", "🜂", " "]), max_size=30).map("".join),
    st.lists(st.sampled_from(["ab", "aab", "b漢", "🜂", "", "never"]), max_size=3),
)
def test_the_pieces_are_the_text_up_to_the_first_stop_string(text, stops):
    found, is_stopped = pieces(text, stops)
    assert "".join(found) == cut(text, stops)
    assert is_stopped == any(stop and stop in text for stop in stops)
    assert not any("\ufffd" in piece for piece in found)


def test_what_may_begin_a_stop_string_is_held_until_it_is_known():
    stream = TextStream(by_bytes, ["STOP"])
    said = [stream.push(token) for token in b"aSTxSTO"]
    assert said == ["a", "", "", "STx", "", "", ""]
    assert stream.finish() == "STO"
    assert stream.finish() == ""


def test_bytes_that_are_no_character_are_told_in_the_end():
    stream = TextStream(by_bytes)
    assert [stream.push(token) for token in (97, 0xE6, 0xBC)] == ["a", "", ""]
    assert stream.finish() == "\ufffd"
    endless = TextStream(by_bytes)
    said = [endless.push(0x80) for _ in range(40)]
    assert "".join([*said, endless.finish()]) == "\ufffd" * 40


def test_text_of_an_engine_that_speaks_itself_is_stopped_too():
    stream = TextStream(by_bytes, ["owl"])
    assert [stream.push_text(text) for text in ("an o", "wl", "more")] == ["an ", "", ""]
    assert stream.is_stopped
