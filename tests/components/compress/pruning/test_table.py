"""How a sparsity is spread over layers by what each of them costs."""

import itertools

import pytest

from components.compress.pruning.table import Row, Table, spread


def table(**costs: list[float]) -> Table:
    """Costs of matrices at 0.25, 0.5, 0.75."""
    rows = [
        Row(part=name, matrices=(name,), level=level, kl=kl, added_nats=0.0)
        for name, values in costs.items()
        for level, kl in zip((0.25, 0.5, 0.75), values, strict=True)
    ]
    return Table(treatment="magnitude", nats=1.0, rows=tuple(rows))


def test_the_cheapest_allocation_of_all_is_found():
    said = table(a=[0.1, 0.3, 0.9], b=[0.05, 0.2, 0.4], c=[0.3, 0.9, 2.0])
    shares = spread(said, {"a": 100, "b": 100, "c": 100}, 0.5)
    cost = {name: {0.0: 0.0, **said.kl_of(name)} for name in "abc"}
    levels = itertools.product((0.0, 0.25, 0.5, 0.75), repeat=3)
    best = min(
        (sum(cost[n][s] for n, s in zip("abc", chosen, strict=True)), chosen)
        for chosen in levels
        if sum(chosen) == 1.5
    )
    assert [shares[name] for name in "abc"] == pytest.approx(best[1])


def test_large_matrices_count_by_their_weights():
    said = table(a=[1.0, 2.0, 3.0], b=[2.0, 4.0, 6.0])
    shares = spread(said, {"a": 100, "b": 300}, 0.5)  # b costs less a weight
    assert shares == pytest.approx({"a": 0.0, "b": 2 / 3})


def test_a_cost_that_bends_down_is_never_paid_half():
    said = table(a=[0.9, 1.0, 1.0], b=[0.5, 1.1, 1.7])
    shares = spread(said, {"a": 100, "b": 100}, 0.375)
    assert shares == pytest.approx({"a": 0.75, "b": 0.0})


def test_a_matrix_of_two_parts_has_the_mean_of_their_shares():
    rows = [
        Row(part="block", matrices=("a", "b"), level=0.5, kl=0.8, added_nats=0.0),
        Row(part="kind", matrices=("a", "c"), level=0.5, kl=0.2, added_nats=0.0),
    ]
    said = Table(treatment="magnitude", nats=1.0, rows=tuple(rows))
    assert said.kl_of("a") == pytest.approx({0.5: 0.2})
    assert said.kl_of("b") == pytest.approx({0.5: 0.4})


def test_more_than_was_measured_and_a_table_of_another_model_are_refused():
    with pytest.raises(ValueError, match=r"measured up to 0\.75, and sparsity=0\.8 is above"):
        spread(table(a=[1, 2, 3]), {"a": 10}, 0.8)
    with pytest.raises(ValueError, match="says nothing of b: it is of another model"):
        spread(table(a=[1, 2, 3]), {"b": 10}, 0.5)
