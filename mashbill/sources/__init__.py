"""Sources: one file each; found by file name like every step."""
