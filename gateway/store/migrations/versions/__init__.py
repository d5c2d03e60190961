"""One file for each revision of the schema; never edited once released."""
