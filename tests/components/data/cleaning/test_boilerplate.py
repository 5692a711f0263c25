"""Boilerplate goes, and what only speaks of it stays."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.cleaning.boilerplate import strip_boilerplate
from components.data.repository import library, speeches

ALL = ("notices", "license", "gutenberg")
CODE = "import os\n\n\ndef main():\n    pass  # Licensed under the sun"
APACHE = """\
# Copyright 2019 Somebody
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
"""
MIT = """\
/*
 * Copyright (c) 2020 Somebody
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy
 */
"""
GPL = """\
// This program is free software: you can redistribute it under the terms of
// the GNU General Public
// License as published by the Free Software Foundation.
"""


@pytest.mark.parametrize(
    "line",
    [
        "This website uses cookies to give you the best experience.",
        "By continuing to browse you agree to our use of cookies.",
        "Accept all cookies",
        "Subscribe to our weekly newsletter!",
        "Please enable JavaScript to view the comments.",
        "» Skip to main content",
        "© 2021 Acme Corp. All rights reserved.",
        "Privacy Policy | Terms of Service",
        "Share this on Facebook",
    ],
)
def test_a_line_that_is_a_notice_is_removed_and_counted(line):
    text, removed = strip_boilerplate(f"First paragraph.\n{line}\nSecond one.", ("notices",))
    assert text == "First paragraph.\nSecond one."
    assert removed == {"notices": 1}


@pytest.mark.parametrize(
    "line",
    [
        "Her cookies were the best of the street, and we use them as a reward.",
        "The web browser sends cookies by the rules of RFC 6265.",
        "Privacy is a right, and the policy of the house respects it.",
        "They subscribe to the view that iron is older than steel.",
        "JavaScript is a language, and in it all rights are reserved words.",
        "This site uses cookies, " + "and it does a great many other things too, " * 12,
    ],
)
def test_a_line_of_prose_stays(line):
    assert strip_boilerplate(line, ALL) == (line, {})


@pytest.mark.parametrize("header", [APACHE, MIT, GPL, "# SPDX-License-Identifier: MIT\n"])
def test_a_licence_on_top_of_a_program_is_removed(header):
    assert strip_boilerplate(f"{header}\n{CODE}", ("license",)) == (CODE, {"license": 1})


def test_the_line_that_names_the_interpreter_stays():
    text, _ = strip_boilerplate(f"#!/usr/bin/env python3\n{APACHE}\n{CODE}", ("license",))
    assert text == f"#!/usr/bin/env python3\n{CODE}"


@pytest.mark.parametrize(
    "text",
    [CODE, f"# Reads one file after the other.\n{CODE}", f"{CODE}\n{APACHE}", "# Title\n\nProse."],
)
def test_a_comment_that_is_no_licence_stays(text):
    assert strip_boilerplate(text, ("license",)) == (text, {})


def test_of_an_e_book_the_book_is_kept():
    book = "CHAPTER I\n\nIt was a dark night."
    framed = (
        "The Project Gutenberg eBook of Nights\n\nThis eBook is for the use of anyone.\n\n"
        f"*** START OF THE PROJECT GUTENBERG EBOOK NIGHTS ***\n\n{book}\n\n"
        "*** END OF THE PROJECT GUTENBERG EBOOK NIGHTS ***\n\nUpdated editions will follow."
    )
    assert strip_boilerplate(framed, ("gutenberg",)) == (book, {"gutenberg": 1})
    assert strip_boilerplate(book, ("gutenberg",)) == (book, {})


def test_nothing_is_removed_that_was_not_asked_for():
    text = f"{APACHE}\nAccept all cookies"
    assert strip_boilerplate(text, ()) == (text, {})


def test_speeches_and_documentation_have_next_to_none():
    documents = [*islice(speeches.documents(), 20), *islice(library.documents(), 40)]
    changed = [d.id for d in documents if strip_boilerplate(d.text, ALL)[0] != d.text]
    assert changed == ["library/codecs"]  # "(c) Copyright CNRI, All Rights Reserved."


@given(text=st.text(alphabet="#/*-\n ©ab\"'"))
def test_any_text_can_be_stripped_twice(text):
    for kind in ALL:
        strip_boilerplate(strip_boilerplate(text, (kind,))[0], (kind,))
