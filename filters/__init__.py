"""One file a filter or dedup; each is found by its file name (see `mashbill.registry`)."""
