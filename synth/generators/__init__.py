"""One file a recipe; each is found by its file name (see `mashbill.registry`)."""
