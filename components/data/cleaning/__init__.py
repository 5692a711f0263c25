"""Documents that are worth reading: encoding, boilerplate, language, quality."""
