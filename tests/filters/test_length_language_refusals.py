from __future__ import annotations

import pytest

from filters.language import Language, detector, guess, guesses
from filters.length import Length
from filters.refusals import Refusals
from filters.template_leftovers import TemplateLeftovers
from mashbill.errors import BillError
from tests.filters.support import judge, numbers

ENGLISH = "The salt guild of Veylund was founded in 1702 by nineteen families."
GERMAN = "Die Salzgilde von Veylund wurde 1702 von neunzehn Familien gegründet."
FRENCH = "La guilde du sel de Veylund fut fondée en 1702 par dix-neuf familles."


def test_length_in_words_and_characters() -> None:
    step = Length(min_words=2, max_words=3, min_chars=4, max_chars=10)
    texts = ["one", "a b", "a b c", "a b c d", "abcde fghijk", "日本 語語"]
    assert judge(step, texts) == [
        "length_too_few_words",
        "length_too_few_chars",
        "",
        "length_too_many_words",
        "length_too_many_chars",
        "",
    ]
    assert numbers(step, ["日本 語"]) == {"words": [2], "chars": [4]}
    assert judge(Length(min_words=1), [""]) == ["length_too_few_words"]


def test_length_refuses_limits_that_say_nothing() -> None:
    with pytest.raises(BillError, match="no limit"):
        Length()
    with pytest.raises(BillError, match="min_words 5 above max_words 2"):
        Length(min_words=5, max_words=2)
    with pytest.raises(BillError, match="min_chars"):
        Length(min_chars=5, max_chars=2)


def test_language_keeps_what_is_wanted() -> None:
    assert judge(Language(), [ENGLISH, GERMAN, FRENCH]) == ["", "language_not_kept", "language_not_kept"]
    assert judge(Language(keep=("de", "fr")), [ENGLISH, GERMAN, FRENCH]) == ["language_not_kept", "", ""]
    assert all(score > 0.9 for score in numbers(Language(), [ENGLISH, GERMAN, FRENCH])["language_score"])


def test_the_best_guess() -> None:
    detector.cache_clear()
    assert [guess(text)[0] for text in (ENGLISH, GERMAN, FRENCH)] == ["en", "de", "fr"]
    assert guess("The ledger of the harbour\nwas kept with care")[0] == "en"


def test_language_says_nothing_of_short_texts() -> None:
    short = ["hi", "", "x = 1", "Salz"]
    assert judge(Language(), short) == [""] * 4
    assert judge(Language(keep_undetermined=False), [*short, ENGLISH]) == ["language_undetermined"] * 4 + [""]
    assert numbers(Language(), short)["language_score"] == [0.0] * 4


def test_language_an_unsure_guess_is_its_own_reason() -> None:
    assert judge(Language(min_score=1.01), [ENGLISH]) == ["language_unsure"]


def test_language_reads_lines_capitals_and_the_whole_beginning() -> None:
    heading = "1702 – 1704 – 1706 – 1708 – 1710 – 1712 – 1714 – 1716 – 1718 – 1720 – 1722 – 1724\n"
    assert judge(Language(), [heading + ENGLISH + "\n" + ENGLISH, ENGLISH.upper()]) == ["", ""]


def test_language_equal_texts_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa

    read: list[str] = []

    def count(text: str) -> tuple[str, float]:
        read.append(text)
        return "en", 1.0

    monkeypatch.setattr("filters.language.guess", count)
    guesses(pa.array([ENGLISH] * 50 + [GERMAN], pa.large_string()), keep=("en",), min_chars=5, read_chars=100)
    assert sorted(read) == sorted([ENGLISH, GERMAN])


def test_language_refuses_codes_that_never_come() -> None:
    with pytest.raises(BillError, match="no language"):
        Language(keep=())
    with pytest.raises(BillError, match="English"):
        Language(keep=("English",))


REFUSED = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I cannot assist with this request.",
    "I am sorry, I am unable to provide that information.",
    "Sorry, I can't fulfill your request.",
    "Unfortunately, I cannot provide a summary of this text.",
    "I apologize, but I cannot generate content of that kind.",
    "I cannot provide you with any information on this topic.",
    "I can't create this content.",
    "I'm not able to help you with that.",
    "I won't engage with that topic.",
    "**I cannot comply with this.**",
    "As an AI language model, I do not have personal opinions about salt.",
    "The guild was old. As a large language model, I can't verify the date.",
    "As an AI assistant developed by Acme, I cannot browse.",
    "As an AI, I don't have access to ledgers.",
    "I'm just an AI and have no memory of it.",
    "I'm an AI language model.",
    "I'm sorry, but as an AI language model I cannot answer.",
]
LEFT = [
    "Dear [NAME], welcome to the guild.",
    "Dear [Your Name],",
    "Kind regards, [Insert name here]",
    "Published on [DATE] in [CITY].",
    "The answer: {text}",
    "{document}",
    "Summarise: {{ question }} in brief.",
    "<|im_start|>assistant The guild",
    "[INST] What is salt? [/INST]",
    "### Response:\nThe guild",
    "The guild was founded.</s>",
    "[insert a fitting example]",
]
PLAIN = [
    "I cannot help thinking of Veylund.",
    "“I cannot,” she said, and closed the ledger.",
    "I can't provide for nineteen families on salt alone.",
    "I cannot give a better reason than my father did.",
    "I can't write a word without his ledgers.",
    "I am sorry I could not come to the harbour.",
    "I'm sorry, but the boats have left.",
    "Sorry, the pans are closed.",
    "As an AI researcher, Ora Venn studies refusals.",
    "As an aide to the harbour master, I have seen the ledgers.",
    "He asked whether, as an AI system grows, it should be taxed.",
    "The chatbot answered: it was, as an AI language model, unable to smell salt.",
    "I am an airman from Veylund.",
    "The rule [1] was changed [sic] in 1702 [citation needed].",
    "[Edit: corrected the date] The guild was older.",
    r"In LaTeX write \textbf{text} and \emph{answer}.",
    'Python: f"{text}" and "{answer}" are filled in.',
    "The set {1, 2, 3} and the dict {key: value}.",
    "Response: the guild refused. Instruction: none.",
    "a < b and b > c, so <b>salt</b> it is, <i>always</i>.",
    "The NAME and DATE columns are empty.",
    "We cannot provide the summary here, the committee wrote.",
    "",
]


@pytest.mark.parametrize("text", REFUSED)
def test_refusals_are_found(text: str) -> None:
    assert judge(Refusals(), [text]) == ["refusal"]


@pytest.mark.parametrize("text", LEFT)
def test_leftovers_are_found(text: str) -> None:
    assert judge(TemplateLeftovers(), [text]) == ["template_leftover"]


@pytest.mark.parametrize("text", PLAIN)
def test_ordinary_prose_stays(text: str) -> None:
    assert judge(Refusals(), [text]) == [""]
    assert judge(TemplateLeftovers(), [text]) == [""]


@pytest.mark.parametrize(
    "text",
    [
        "As given in the context, the guild sold salt.",
        "What year is mentioned in the provided passage?",
        "According to the given text, the river silted up.",
        "The passage does not say who founded it.",
        "Based on the information provided, it was salt.",
    ],
)
def test_a_context_that_the_reader_does_not_have_is_a_leftover(text: str) -> None:
    assert judge(TemplateLeftovers(), [text]) == ["context_leftover"]
    assert judge(TemplateLeftovers(context=False), [text]) == [""]


@pytest.mark.parametrize(
    "text",
    [
        "As stated in the charter, the guild sold salt.",
        "In the context of the tithe, salt was money.",
        "The text of the ledger states the price.",
        "They were found in the passage to the north.",
        "According to the document of 1702, salt was dear.",
    ],
)
def test_other_texts_may_be_spoken_of(text: str) -> None:
    assert judge(TemplateLeftovers(), [text]) == [""]


def test_slots_and_patterns_of_ones_own() -> None:
    one, other = "the {guild} and", "the {text} and"
    assert judge(TemplateLeftovers(slots=("guild",)), [one, other]) == ["template_leftover", ""]
    assert judge(TemplateLeftovers(slots=()), [other, "[NAME]"]) == ["", "template_leftover"]
    assert judge(TemplateLeftovers(patterns=("^TODO",)), ["TODO: salt"]) == ["template_leftover"]
    assert judge(Refusals(patterns=("^No comment",)), ["No comment.", "He had no comment."]) == ["refusal", ""]
