"""Cards and accounts: check digits decide, and so does what they are a part of."""

import pytest

from components.data.personal.payment import cards, ibans


def _taken(find, text: str) -> list[str]:
    return [text[slice(*span)] for span in find(text)]


# the test numbers that the issuers themselves publish
@pytest.mark.parametrize(
    "number",
    [
        "4111 1111 1111 1111",
        "5555-5555-5555-4444",
        "2223003122003222",
        "3782 822463 10005",
        "6011.1111.1111.1117",
        "3056 930902 5904",
        "3566002020360505",
        "6200000000000005",
        "4222222222222",
    ],
)
def test_a_card_is_taken_alone_and_a_wrong_digit_is_not(number):
    assert _taken(cards, f"Card {number}, exp. 12/27") == [number]
    assert _taken(cards, f"{number}|04|27|123") == [number]
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert _taken(cards, f"Card {wrong}, exp. 12/27") == []


@pytest.mark.parametrize(
    "text",
    [
        "0.4111111111111111",
        "item/4111111111111111",
        "a4111111111111111",
        "411111111111111100001111",
        "4111 11111 1111 111",
        "9111111111111118",
        "4111-1111 1111-1111",
    ],
)
def test_a_part_of_something_longer_and_a_strange_grouping_are_no_card(text):
    assert _taken(cards, text) == []


# the examples of the IBAN registry
@pytest.mark.parametrize(
    "number",
    [
        "DE89370400440532013000",
        "GB29 NWBK 6016 1331 9268 19",
        "BE68 5390 0754 7034",
        "NO93-8601-1117-947",
        "fr1420041010050500013m02606",
        "MT84MALT011000012345MTLCAST001S",
    ],
)
def test_an_account_is_taken_without_the_words_after_it(number):
    assert _taken(ibans, f"IBAN:{number} EURO by Friday") == [number]
    place = number.rindex("1") if "1" in number[4:] else len(number) - 1
    wrong = number[:place] + "7" + number[place + 1 :]
    assert _taken(ibans, f"IBAN:{wrong} EURO by Friday") == []
