"""Embedders that need no model: texts to vectors with numpy alone."""
