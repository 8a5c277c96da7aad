"""Knowledge graphs: load, extract, resolve, sample."""
