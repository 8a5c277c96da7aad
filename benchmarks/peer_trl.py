"""TRL's trainers on the same weights and the same text, run by TRL's own Python: it prints one line of JSON.

python peer_trl.py sft --model DIR --texts FILE --length 512 --micro 4 --batch 8 --steps 6
python peer_trl.py gkd --model DIR --teacher DIR --texts FILE --length 512 --micro 4 --batch 4 --steps 2
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback


class Clock(TrainerCallback):  # type: ignore[misc]
    """CPU seconds of each optimiser step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.began = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self.began = time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Stop it."""
        self.seconds.append(time.process_time() - self.began)


def settings(given: argparse.Namespace, out: str) -> dict[str, Any]:
    return {
        "output_dir": out, "max_length": given.length, "per_device_train_batch_size": given.micro,
        "gradient_accumulation_steps": given.batch // given.micro, "max_steps": given.steps, "logging_steps": 1,
        "save_strategy": "no", "report_to": [], "use_cpu": not torch.cuda.is_available(),
        "bf16": torch.cuda.is_available(),
        "learning_rate": 1e-4, "lr_scheduler_type": "cosine", "gradient_checkpointing": False, "disable_tqdm": True,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["sft", "gkd"])
    for name in ("model", "teacher", "texts"):
        parser.add_argument(f"--{name}", type=Path)
    for name in ("length", "micro", "batch", "steps"):
        parser.add_argument(f"--{name}", type=int)
    given = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(str(given.model))
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = load(given.model)
    rows = json.loads(given.texts.read_text())
    clock, before = Clock(), peak()
    with tempfile.TemporaryDirectory() as out:
        trainer = (sft if given.what == "sft" else gkd)(given, model, tokenizer, rows, clock, out)
        ready = peak()
        trainer.train()
        losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
        tokens = [line["num_tokens"] for line in trainer.state.log_history if "num_tokens" in line]
    print(json.dumps({
        "seconds": clock.seconds, "losses": losses, "num_tokens": tokens, "loaded_mb": before, "ready_mb": ready,
        "peak_mb": peak(),
    }))  # fmt: skip


def load(path: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(str(path), dtype=torch.float32, attn_implementation="sdpa")


def peak() -> float:
    # Not ru_maxrss: that of a process begins with the size of whoever started it.
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def sft(given: Any, model: Any, tokenizer: Any, rows: list[str], clock: Clock, out: str) -> Any:
    from trl import SFTConfig, SFTTrainer

    # bfd_split loses no token, as our plan does not; `wrapped` lets documents see each other.
    args = SFTConfig(**settings(given, out), packing=True, packing_strategy="bfd_split", dataset_text_field="text")
    data = Dataset.from_dict({"text": rows})
    return SFTTrainer(model=model, args=args, train_dataset=data, processing_class=tokenizer, callbacks=[clock])


def gkd(given: Any, model: Any, tokenizer: Any, rows: list[str], clock: Clock, out: str) -> Any:
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    args = GKDConfig(**settings(given, out), lmbda=0.0, beta=0.0, seq_kd=False)
    talk = [[{"role": "user", "content": "?"}, {"role": "assistant", "content": row}] for row in rows]
    data = Dataset.from_dict({"messages": talk})
    return GKDTrainer(
        model=model, teacher_model=load(given.teacher), args=args, train_dataset=data, processing_class=tokenizer,
        callbacks=[clock],
    )  # fmt: skip


if __name__ == "__main__":
    main()
