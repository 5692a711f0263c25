"""Data cards, out of a real MLflow store."""

from dashboards.reading import data_cards
from dashboards.reading.scores import read_text
from tests.dashboards import store


def test_a_card_comes_back_with_its_revision_and_its_page(mlflow):
    run_id = store.publish_card(store.origin("one"))
    (row,) = data_cards.cards(mlflow).to_dict("records")
    assert (row["run_id"], row["revision"]) == (run_id, store.REVISION)
    assert data_cards.content(mlflow, run_id) == store.card()
    assert read_text(mlflow, run_id, data_cards.PAGE) == "<h1>The card</h1>"


def test_without_a_card_there_is_none_to_show(mlflow):
    run_id = store.train(store.origin("one"), "aa", num_steps=1)
    assert data_cards.cards(mlflow).empty
    assert data_cards.content(mlflow, run_id) is None


def test_the_parts_of_a_step_of_the_funnel_make_what_came_to_it():
    rows = data_cards.funnel(store.card())
    came = rows.groupby("step", sort=False)["documents"].sum().to_dict()
    assert came == {"raw": 100, "clean": 100, "deduplicate": 60}
    kept = rows[rows["outcome"] == "kept"]
    assert list(kept["documents"]) == [100, 60, 55]
    assert set(data_cards.funnel(store.card(), "library")["step"]) == {"raw", "clean"}


def test_planted_items_have_their_recall_and_precision():
    (row,) = data_cards.planted(store.card()).to_dict("records")
    assert row == {
        "step": "deduplicate",
        "planted as": "re-wrapped",
        "items": 20,
        "found": 19,
        "recall %": 95.0,
        "must be found": 0,
        "recall of those %": None,
        "precision %": 95.0,
    }
    assert data_cards.planted({"planted": {}}).empty


def test_samples_tell_what_became_of_them():
    assert list(data_cards.samples(store.card())["fate"]) == ["kept", "left out by clean"]


def test_a_histogram_keeps_the_order_of_its_bins():
    found = data_cards.histogram({"8-15": 5, "16-31": 50})
    assert list(found["name"]) == ["8-15", "16-31"]
    assert list(found["documents"]) == [5, 50]
