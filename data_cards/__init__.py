"""The card template and one rendered card for each released dataset; no code."""
