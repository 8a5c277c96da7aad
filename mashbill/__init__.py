"""The kernel of Mashbill: records, steps, durable asks, the store and the loop that ties them.

It imports neither torch, vllm, prefect nor networkx, so that every package above it can rest on it.
"""

__version__ = "0.1.0"
