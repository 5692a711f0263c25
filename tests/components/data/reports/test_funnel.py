"""The funnel: what goes in is what is kept and what is left out, step by step."""

from components.core.artifacts.data import DocumentShards, SourceCount
from components.data.reports.funnel import funnel

STEPS = {
    "clean": DocumentShards(
        path="/a",
        num_documents=8,
        num_bytes=80,
        dropped={"empty": 1, "short": 3},
        by_source={
            "web": SourceCount(documents=3, bytes=30, dropped={"short": 3}),
            "book": SourceCount(documents=5, bytes=50, dropped={"empty": 1}),
        },
    ),
    "deduplicate": DocumentShards(
        path="/b",
        num_documents=6,
        num_bytes=60,
        dropped={"duplicate": 2},
        by_source={"book": SourceCount(documents=6, bytes=60, dropped={"duplicate": 2})},
    ),
}


def test_every_step_says_what_it_kept_and_why_not_more():
    rows = funnel(STEPS)
    assert [(row.step, row.documents, row.bytes) for row in rows] == [
        ("raw", 12, None),
        ("clean", 8, 80),
        ("deduplicate", 6, 60),
    ]
    assert list(rows[1].dropped.items()) == [("short", 3), ("empty", 1)]


def test_a_source_has_a_funnel_of_its_own_and_may_end():
    assert [row.documents for row in funnel(STEPS, "web")] == [6, 3, 0]
    assert funnel(STEPS, "web")[1].dropped == {"short": 3}
