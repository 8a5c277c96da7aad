"""The schema for editors says what the bill's own reader says, as far as a schema can."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import mashbill.bill
from flows.editor_schema import bill_schema
from flows.scaffold import write_new
from flows.step_table import BEGIN, END, first_sentence, main, render_table, with_table
from mashbill.errors import UserError
from mashbill.registry import available

jsonschema = pytest.importorskip("jsonschema")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return bill_schema()


@pytest.fixture(scope="module")
def fits(schema: dict[str, Any]) -> Callable[[object], bool]:
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    return lambda bill: bool(validator.is_valid(bill))


@pytest.fixture
def bill() -> dict[str, Any]:
    """The example in the docstring of `mashbill.bill`."""
    text = (mashbill.bill.__doc__ or "").split("::\n\n")[1].split("\n\nIt is checked")[0]
    loaded: dict[str, Any] = yaml.safe_load(inspect.cleandoc(text))
    return loaded


def test_the_example_bill_fits(bill: dict[str, Any], fits: Callable[[object], bool]) -> None:
    assert fits(bill)


def test_the_bills_we_ship_and_write_fit(fits: Callable[[object], bool], tmp_path: Path) -> None:
    write_new("bill", "demo", tmp_path)
    examples = (Path(__file__).parents[2] / "examples").rglob("bill.yaml")
    for path in [tmp_path / "demo.yaml", *examples]:
        assert fits(yaml.safe_load(path.read_text(encoding="utf-8"))), path


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("surces",), {}),
        (("curate", 2), {"minhash_dedup": {"treshold": 0.75}}),
        (("curate", 0), "gopher_qualty"),
        (("curate", 0), {"gopher_quality": {}, "length": {}}),
        (("streams", "entigraph", "generate", 0), {"entigraph": {"max_pairs": "twenty"}}),
        (("streams", "entigraph", "generate", 0), {"entigraph": {"sampling": {"temprature": 1.0}}}),
        (("streams", "entigraph", "generate", 0), "read_documents"),
        (("streams", "raw"), {"generate": []}),
        (("sources", "almanac"), "read_documents"),
        (("sources", "almanac"), {"entigraph": {}}),
        (("engine",), {"transformers": {"modle": "x"}}),
        (("student",), {"scratch": {"widht": 64}}),
        (("train", "token"), 1),
        (("train", "replay", "shares"), 0.1),
        (("release", "split"), {}),
        (("rejects",), {"shares": 0.5}),
    ],
)
def test_what_is_misspelt_or_misplaced_does_not_fit(
    where: tuple[str | int, ...], value: object, bill: dict[str, Any], fits: Callable[[object], bool]
) -> None:
    changed: Any = copy.deepcopy(bill)
    place = changed
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    assert not fits(changed)


def test_one_value_stands_for_a_list_and_a_bare_name_for_its_defaults(
    bill: dict[str, Any], fits: Callable[[object], bool]
) -> None:
    bill["curate"] = {"minhash_dedup": None}
    bill["streams"]["entigraph"]["generate"] = "entigraph"
    assert fits(bill)


def test_every_section_and_step_is_in_it(schema: dict[str, Any]) -> None:
    assert set(schema["properties"]) == set(mashbill.bill.TOP)
    assert {name for name in schema["$defs"] if name.startswith("step.")} == {f"step.{n}" for n in available("step")}


def test_fields_have_their_docstring_type_and_default(schema: dict[str, Any]) -> None:
    copies = schema["$defs"]["step.rephrase"]["properties"]["copies"]
    assert copies["type"] == "integer"
    assert copies["default"] == 1
    assert copies["description"].startswith("Texts of each style")
    # A nested default is shown with its own values, and none of its fields is required.
    sampling = schema["$defs"]["step.rephrase"]["properties"]["sampling"]
    assert sampling["properties"]["max_tokens"]["default"] == 2048
    assert "required" not in sampling


def test_engines_offer_only_what_a_bill_may_set(schema: dict[str, Any]) -> None:
    assert "run" not in schema["$defs"]["engine.openai"]["properties"]


def test_steps_of_ones_own_are_offered(tmp_path: Path) -> None:
    write_new("filter", "few_words", tmp_path)
    assert "min_words" in bill_schema([tmp_path])["$defs"]["step.few_words"]["properties"]


def test_the_table_has_every_step_and_what_it_reads_and_writes() -> None:
    made = render_table()
    assert all(f"| `{name}` |" in made for name in [*available("step"), *available("engine")])
    assert "| `read_documents` | source | files → Document | Reads documents from text" in made


def test_a_stale_table_is_found_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "steps.md"
    page.write_text(f"# Steps\n\n{BEGIN}\nold\n{END}\n\nAfter.\n", encoding="utf-8")
    assert main(["--check", str(page)]) == 1
    assert "stale" in capsys.readouterr().err
    assert main(["--write", str(page)]) == 0
    assert main(["--check", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Steps\n")
    assert text.endswith("\n\nAfter.\n")


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "steps.md"
    assert main(["--check", str(page)]) == 2
    for text in ("no marks", f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"):
        with pytest.raises(UserError, match="once each"):
            with_table(text, "", page)


def test_the_first_sentence_ends_at_a_full_stop() -> None:
    assert first_sentence("Keeps e.g. rules. Then more.") == "Keeps e.g. rules."
    assert first_sentence("No stop") == "No stop"
