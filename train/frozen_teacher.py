"""A teacher as scoring and live distillation use it: frozen, its log-probabilities some positions at a time.

    teacher.hidden(ids, positions) -> (rows, length, width);  teacher.log_probs(hidden[some]) -> (n, vocabulary)

What it must share with the student is the tokenizer. Its table may be longer than that (Qwen's has 151,936 entries for
151,669 tokens, and another number for another size): entries beyond the tokenizer's are no tokens, and get no
probability.
"""

from __future__ import annotations

import contextlib

import torch
from torch import nn
from transformers import PreTrainedModel

from mashbill.errors import BillError, UserError
from train.chunked_head import head_of, hidden_alone
from train.student import Student

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class FrozenTeacher:
    """A model that is not trained."""

    def __init__(self, teacher: Student, *, tokenizer: str, name: str, dtype: str, device: torch.device) -> None:
        if teacher.tokenizer.identity != tokenizer:
            raise BillError(
                f"the teacher {name} has tokenizer {teacher.tokenizer.identity[:8]} and the student's is "
                f"{tokenizer[:8]}; their probabilities are about different tokens: take a teacher of the same family, "
                "or train on text that this one wrote"
            )
        self.model: PreTrainedModel = teacher.model.to(device=device, dtype=_DTYPES[dtype]).eval()
        self.model.requires_grad_(False)
        self.name = name
        entries = int(self.model.get_input_embeddings().num_embeddings)
        self.vocabulary = min(len(teacher.tokenizer), entries)
        """Entries that are tokens."""
        self.head = self._head()
        context = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        self.context: int | None = context
        """The longest text that it was made for; None where it does not say."""

    def _head(self) -> nn.Linear:
        head = head_of(self.model)
        if head is None:
            raise UserError(
                f"the teacher {self.name} ({type(self.model).__name__}) does more to its logits than one product, such "
                "as capping them; take another teacher, or serve this one and give its `endpoint`"
            )
        return head

    def hidden(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """The last hidden states of packed rows, (rows, length, width)."""
        off = torch.autocast(ids.device.type, enabled=False) if ids.is_cuda else contextlib.nullcontext()
        with torch.no_grad(), off, hidden_alone(self.head):
            found: torch.Tensor = self.model(input_ids=ids, position_ids=positions, use_cache=False).logits
        return found

    def log_probs(self, hidden: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
        """Log-probabilities of the tokens, float32, (n, vocabulary)."""
        with torch.no_grad():
            logits = nn.functional.linear(hidden, self.head.weight, self.head.bias)[:, : self.vocabulary].float()
            return (logits / temperature).log_softmax(1)
