"""SparseGPT against formulas of its own: the inverse of the Hessian, one weight at a time."""

import pytest
import torch

from components.compress.pruning.methods import Magnitude, SparseGPT, Target, Wanda
from components.compress.pruning.second_order import inverse_factor, prune_columns
from components.lib.models.sparsity import has_pattern


def drawn(outputs: int = 24, inputs: int = 32, tokens: int = 400):
    random = torch.Generator().manual_seed(0)
    mix = torch.randn(inputs, inputs, generator=random)
    texts = torch.randn(tokens, inputs, generator=random) @ mix  # inputs that know of each other
    return torch.randn(outputs, inputs, generator=random), texts


def error(before, after, texts) -> float:
    return float((texts @ (before - after).T).square().sum())


def test_one_column_that_goes_is_made_up_for_as_the_surgeon_says():
    """OBS (Hassibi and Stork 1993): w - w_q / [H^-1]_qq H^-1 e_q, the least squares solution."""
    weight, texts = drawn()
    hessian = (texts.T @ texts).double()
    weight[:, 0] = 1e-6  # so that the first column goes, before any is settled
    share = 1 / weight.shape[1]
    found = prune_columns(weight, inverse_factor(hessian.float(), 1e-9), share, None, 32)
    rest = hessian[1:, 1:]
    fitted = torch.linalg.solve(rest, hessian[1:] @ weight.double().T).T
    assert not found[:, 0].any()
    assert torch.allclose(found[:, 1:].double(), fitted, rtol=1e-3, atol=1e-4)


def test_each_weight_is_lost_as_by_an_inverse_that_is_updated_column_by_column():
    """Frantar et al. 2022 (OBC): after column q the inverse loses its q-th row and column."""
    weight, texts = drawn(outputs=5, inputs=12)
    hessian = (texts.T @ texts).double()
    hessian.diagonal().add_(0.01 * hessian.diagonal().mean())
    expected = weight.double().clone()
    for start in range(0, 12, 4):
        inverses = [
            torch.linalg.inv(hessian[column:, column:]) for column in range(start, start + 4)
        ]
        diagonals = torch.stack([inverse[0, 0] for inverse in inverses])
        for row in range(5):
            gone = (expected[row, start : start + 4] ** 2 / diagonals).argsort()[:2].tolist()
            for offset in sorted(gone):
                column = start + offset
                inverse = inverses[offset]
                expected[row, column:] -= expected[row, column] / inverse[0, 0] * inverse[0]
                expected[row, column] = 0.0
    found = prune_columns(weight, inverse_factor((texts.T @ texts), 0.01), 0.5, (2, 4), 8)
    assert torch.allclose(found.double(), expected, rtol=1e-3, atol=1e-3)


def test_with_inputs_that_know_nothing_of_each_other_it_is_magnitude():
    weight, _ = drawn()
    same, target = torch.eye(32), Target(0.5)
    method = SparseGPT(columns_at_once=32)
    assert torch.equal(method.prune(weight, same, target), Magnitude().prune(weight, same, target))


@pytest.mark.parametrize("target", [Target(0.5), Target(0.7), Target(0.5, (2, 4))])
def test_outputs_are_nearer_than_wandas_and_these_than_those_of_magnitude(target):
    weight, texts = drawn(outputs=48, inputs=128, tokens=1000)
    texts[:, ::8] *= 4.0  # some inputs are larger: Wanda sees that
    moments = texts.T @ texts
    found = [
        error(weight, method.prune(weight, moments, target), texts)
        for method in (SparseGPT(columns_at_once=32), Wanda(), Magnitude())
    ]
    assert found[0] < 0.8 * found[1] and found[1] < 0.8 * found[2], found


def test_wanda_is_magnitude_times_the_norm_of_the_input_row_by_row():
    weight, texts = drawn()
    scores = weight.abs() * texts.norm(dim=0)
    found = Wanda().prune(weight, texts.T @ texts, Target(0.25))
    for row in range(len(weight)):
        gone = set(scores[row].argsort()[:8].tolist())
        assert {i for i in range(32) if found[row, i] == 0} == gone


def test_shares_that_do_not_divide_a_block_come_out_right_for_the_whole_matrix():
    weight, texts = drawn(outputs=7, inputs=37)
    found = SparseGPT(columns_at_once=8).prune(weight, texts.T @ texts, Target(0.3))
    assert int((found == 0).sum()) == round(0.3 * 7 * 37)


def test_an_input_that_was_never_there_loses_its_weights_first():
    weight, texts = drawn()
    texts[:, 3] = 0.0
    found = SparseGPT(columns_at_once=32).prune(weight, texts.T @ texts, Target(0.5))
    assert not found[:, 3].any()
    assert int((found == 0).sum()) == round(0.5 * weight.numel())
    assert has_pattern(SparseGPT().prune(weight, texts.T @ texts, Target(0.5, (4, 8))), "4:8")
