"""Training: the plan, the packed loop, checkpoints and evaluation."""
