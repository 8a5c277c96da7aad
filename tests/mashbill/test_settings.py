"""How it runs: the environment over the file, and nothing taken that was not meant."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mashbill.errors import BillError, SettingsError
from mashbill.settings import Settings

Load = Callable[..., Settings]


@dataclass(frozen=True, kw_only=True)
class Hardware:
    micro_batch: int = 1
    threads: int = 0


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def loaded(text: str | None = None, env: dict[str, str] | None = None) -> Settings:
        if text is not None:
            (tmp_path / "mashbill.toml").write_text(text, encoding="utf-8")
        return Settings.load({} if env is None else env, tmp_path)

    return loaded


def test_with_nothing_said_it_runs_in_runs(load: Load, tmp_path: Path) -> None:
    settings = load()
    assert (settings.root, settings.records_in_flight) == (Path("runs"), 64)
    assert settings.ledger == Path("runs/ledger.sqlite")
    assert settings.file == tmp_path / "mashbill.toml"
    assert settings.section("hardware").build(Hardware) == Hardware()


def test_the_file_says_and_the_environment_wins(load: Load) -> None:
    text = 'root = "a"\nrecords_in_flight = 8\n'
    assert (load(text).root, load().records_in_flight) == (Path("a"), 8)
    won = load(env={"MASHBILL_ROOT": "b", "MASHBILL_RECORDS_IN_FLIGHT": "9"})
    assert (won.root, won.records_in_flight) == (Path("b"), 9)
    empty = load(env={"MASHBILL_ROOT": "", "MASHBILL_RECORDS_IN_FLIGHT": "", "MASHBILL_SETTINGS": ""})
    assert (empty.root, empty.records_in_flight) == (Path("a"), 8), "an empty variable says nothing"


def test_variables_of_the_file_are_set_where_the_environment_has_none(load: Load) -> None:
    text = (
        'root = "a"\n[env]\nMASHBILL_ENGINE_URL = "http://127.0.0.1:1/v1"\nMASHBILL_ENGINE_TRIES = 3\n'
        'MASHBILL_API_KEY_NAMES = "MINE"\nTOKENIZERS_PARALLELISM = "false"\n'
        'MASHBILL_ROOT = "c"\nMASHBILL_RECORDS_IN_FLIGHT = 5\n'
    )
    env = {"MASHBILL_ENGINE_URL": "http://10.0.0.1/v1"}
    settings = load(text, env)
    assert env == {
        "MASHBILL_ENGINE_URL": "http://10.0.0.1/v1",
        "MASHBILL_ENGINE_TRIES": "3",
        "MASHBILL_API_KEY_NAMES": "MINE",
        "TOKENIZERS_PARALLELISM": "false",
        "MASHBILL_ROOT": "c",
        "MASHBILL_RECORDS_IN_FLIGHT": "5",
    }
    assert (settings.root, settings.records_in_flight) == (Path("c"), 5)
    assert load(env={"MASHBILL_ROOT": "d"}).root == Path("d")


def test_the_working_directory_and_the_real_environment_are_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MASHBILL_SETTINGS", "MASHBILL_RECORDS_IN_FLIGHT", "MASHBILL_ROOT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "mashbill.toml").write_text('root = "here"\n', encoding="utf-8")
    assert Settings.load().root == Path("here")
    (tmp_path / "other.toml").write_text('root = "there"\n[env]\nMASHBILL_MADE_UP = "1"\n', encoding="utf-8")
    monkeypatch.setenv("MASHBILL_SETTINGS", "other.toml")
    monkeypatch.setenv("MASHBILL_MADE_UP", "0")
    assert Settings.load().root == Path("there")
    assert os.environ["MASHBILL_MADE_UP"] == "0"


def test_a_table_for_a_package_above_passes_through_with_its_file(load: Load, tmp_path: Path) -> None:
    settings = load("[hardware]\nmicro_batch = 4\n")
    assert settings.section("hardware").build(Hardware) == Hardware(micro_batch=4)
    with pytest.raises(BillError) as caught:
        load("[hardware]\nmicro_bach = 4\n").section("hardware").build(Hardware)
    assert str(caught.value).startswith(
        f"{tmp_path / 'mashbill.toml'}: hardware.micro_bach: unknown field (did you mean"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'rooot = "a"\n',
            "unknown setting 'rooot' (did you mean root?); it takes root, records_in_flight, prices, env, hardware",
        ),
        ("api_key = 'x'\n", "unknown setting 'api_key'"),
        ("root = \n", "is not valid TOML: Invalid value (at line 1"),
        ("root = 5\n", "root is 5; wanted the path of a folder"),
        ('root = ""\n', "root is ''; wanted the path of a folder"),
        ("records_in_flight = 0\n", "mashbill.toml: records_in_flight is 0; wanted a whole number of at least 1"),
        ("records_in_flight = 2.5\n", "mashbill.toml: records_in_flight is 2.5"),
        ("records_in_flight = true\n", "mashbill.toml: records_in_flight is True"),
        ("[env]\nMASHBILL_RECORDS_IN_FLIGHT = 0\n", "mashbill.toml: MASHBILL_RECORDS_IN_FLIGHT is '0'"),
        ("env = 3\n", "env must be a table, [env] and one setting a line; found 3"),
        ("hardware = 3\n", "hardware must be a table, [hardware] and one setting a line; found 3"),
        ("[env]\nA = [1]\n", "A must be text or a number, as variables are; found [1]: quote it"),
        ("[env]\nA = true\n", "A must be text or a number, as variables are; found True: quote it"),
    ],
)
def test_wrong_settings_are_said_with_the_file(load: Load, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(text)
    assert str(caught.value).startswith(f"{tmp_path / 'mashbill.toml'}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["MASHBILL_API_KEY", "HF_TOKEN", "my_secret", "DB_PASSWORD", "AWS_CREDENTIALS"])
def test_a_key_in_the_file_is_refused_unread_and_nothing_is_set(load: Load, name: str) -> None:
    env: dict[str, str] = {}
    with pytest.raises(SettingsError) as caught:
        load(f'[env]\nOTHER = "1"\n{name} = "s3cret"\n', env)
    assert f"{name} looks like a key; keys come from the environment, never from a file" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert env == {}


@pytest.mark.parametrize("value", ["0", "-3", "many", "1.5"])
def test_a_wrong_number_in_the_environment_names_its_variable(load: Load, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^MASHBILL_RECORDS_IN_FLIGHT is '{value}'; wanted a whole number"):
        load(env={"MASHBILL_RECORDS_IN_FLIGHT": value})


def test_a_settings_file_that_is_named_must_be_there(load: Load, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: no such file; MASHBILL_SETTINGS must name a settings file"):
        load(env={"MASHBILL_SETTINGS": str(tmp_path / "none.toml")})


def test_a_settings_file_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mashbill.toml").write_bytes(b'root = "\xff"\n')
    with pytest.raises(SettingsError, match="is not valid TOML: 'utf-8' codec can't decode"):
        Settings.load({}, tmp_path)

    def denied(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", denied)
    with pytest.raises(
        SettingsError, match=r"mashbill\.toml: cannot be read: Permission denied; check its permissions"
    ):
        Settings.load({}, tmp_path)
