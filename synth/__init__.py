"""Synthesis: generators (one file a recipe) and the engines that answer them."""
