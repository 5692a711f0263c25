"""What stands around a number says whether it is one of its own."""

import pytest

from components.data.personal.span import compact, goes_on, windows


@pytest.mark.parametrize("around", ["{}", "({})", "id,{},ok", "tel:{};", "{}.", "\n{}\n", "{}, 12"])
def test_punctuation_and_lines_do_not_make_a_number_longer(around):
    start = around.index("{}")
    assert not goes_on(around.format("12345678"), start, start + 8)


@pytest.mark.parametrize("around", ["0.{}", "{}.5", "a{}", "{}b", "1-{}", "{}-1", "x/{}", "#{}"])
def test_decimals_paths_and_hashes_do(around):
    start = around.index("{}")
    assert goes_on(around.format("12345678"), start, start + 8)


def test_windows_hold_dense_digits_and_what_belongs_to_them():
    text = "In 1999 nothing. " * 50 + "IBAN GB29 NWBK 6016 1331 9268 19." + " And 2001." * 50
    (window,) = windows(text)
    assert "GB29 NWBK 6016 1331 9268 19" in text[slice(*window)]
    assert window.end - window.start < 80


def test_compact_leaves_digits_and_letters_in_upper_case():
    assert compact("de89\u00a03704-00.4") == "DE893704004"
