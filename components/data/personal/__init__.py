"""Personal data in text: where it is, and how well that is known.

The checks are those of libraries: python-stdnum (checksums and structure of cards, IBANs and
national ids), phonenumbers, ipaddress, tldextract and, for names, spaCy. Presidio is not among
them. Importing it loads torch and transformers where they are installed (440 MB and 7 s a worker);
it has no French ids; and on the planted set it finds less and takes more, see
`tests/components/data/personal/test_peer.py`. Ours are the shapes in which people write these
things, found by expressions that start with a class of characters, which `re` can skip to.
"""
