"""Where the openai engine sends and what it may say of it."""

from __future__ import annotations

import pytest

from mashbill.errors import SettingsError
from mashbill.fingerprint import fingerprint
from synth.engines.openai import Openai
from synth.engines.openai_run import OpenaiRun, Secret


def keys(**env: str) -> list[str | None]:
    return [key.reveal() if key else None for key in OpenaiRun.from_env(env).keys]


def test_urls_and_numbers_from_the_environment() -> None:
    run = OpenaiRun.from_env(
        {
            "MASHBILL_ENGINE_URL": "http://127.0.0.1:8000, https://b.example/api/v2/ ,http://c.example/v1?version=3",
            "MASHBILL_ENGINE_CONCURRENCY": "7",
            "MASHBILL_ENGINE_TIMEOUT": "2.5",
            "MASHBILL_ENGINE_TRIES": "3",
            "MASHBILL_ENGINE_PATIENCE": "60",
        }
    )
    assert (run.concurrency, run.timeout, run.tries, run.patience) == (7, 2.5, 3, 60.0)
    opened = run.open()
    assert [str(endpoint.url) for endpoint in opened] == [
        "http://127.0.0.1:8000/v1/chat/completions",
        "https://b.example/api/v2/chat/completions",
        "http://c.example/v1/chat/completions?version=3",
    ]
    assert [endpoint.name for endpoint in opened] == ["127.0.0.1:8000", "b.example:443", "c.example:80"]
    assert Openai(model="m", run=run).calls == 21


def test_the_other_well_known_name_of_the_url() -> None:
    assert OpenaiRun.from_env({"OPENAI_BASE_URL": "http://a/v1"}).endpoints == ("http://a/v1",)


def test_keys_come_by_name() -> None:
    urls = "https://a.example/v1,https://b.example/v1"
    assert keys(MASHBILL_ENGINE_URL=urls) == [None, None]
    assert keys(MASHBILL_ENGINE_URL=urls, MASHBILL_API_KEY=" m ", OPENAI_API_KEY="o") == ["m", "m"]
    named = {"MASHBILL_API_KEY_NAMES": "KEY_A,KEY_B", "KEY_A": "a", "KEY_B": "b"}
    assert keys(MASHBILL_ENGINE_URL=urls, **named) == ["a", "b"]
    assert keys(MASHBILL_ENGINE_URL=urls, MASHBILL_API_KEY_NAMES="KEY_A", KEY_A="a") == ["a", "a"]


def test_the_key_of_other_programs_never_goes_in_clear_text_to_another_machine() -> None:
    urls = "http://far.example/v1,https://far.example/v1,http://127.0.0.1:1/v1,http://[::1]:1/v1,http://localhost:1/v1"
    assert keys(MASHBILL_ENGINE_URL=urls, OPENAI_API_KEY="o") == [None, "o", "o", "o", "o"]


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            {"MASHBILL_API_KEY_NAMES": "A,B,C", "MASHBILL_ENGINE_URL": "http://a,http://b"},
            "3 variables for 2 endpoints",
        ),
        ({"MASHBILL_API_KEY_NAMES": "NOT_SET", "MASHBILL_ENGINE_URL": "http://a"}, "NOT_SET, which is not set"),
        ({"MASHBILL_API_KEY": "sec\nret", "MASHBILL_ENGINE_URL": "http://a"}, "MASHBILL_API_KEY holds a space"),
        ({"MASHBILL_ENGINE_TRIES": "none"}, "MASHBILL_ENGINE_TRIES is 'none', wanted a number of at least 1"),
        ({"MASHBILL_ENGINE_TIMEOUT": "-1"}, "MASHBILL_ENGINE_TIMEOUT"),
        ({"MASHBILL_ENGINE_CONCURRENCY": "nan"}, "MASHBILL_ENGINE_CONCURRENCY"),
        ({"MASHBILL_ENGINE_CONCURRENCY": "inf"}, "MASHBILL_ENGINE_CONCURRENCY"),
    ],
)
def test_wrong_settings_are_named(env: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        OpenaiRun.from_env(env)
    assert "sec" not in str(caught.value).replace("second", "")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "set MASHBILL_ENGINE_URL, as MASHBILL_ENGINE_URL=http://127"),
        ("127.0.0.1:8000/v1", "wanted http://HOST:PORT/v1"),
        ("ftp://a/v1", "wanted http://HOST:PORT/v1"),
        ("http://a:99999/v1", "is no URL"),
        ("me:hunter2@a.example/v1", "an entry that is no URL, wanted"),
        ("http://me:hunter2@a.example/v1", "for a.example holds a user name or password"),
    ],
)
def test_wrong_urls_are_named(url: str, message: str) -> None:
    run = OpenaiRun.from_env({"MASHBILL_ENGINE_URL": url})
    with pytest.raises(SettingsError, match=message) as caught:
        run.open()
    assert "hunter2" not in str(caught.value)


def test_as_many_keys_as_endpoints() -> None:
    with pytest.raises(SettingsError, match="2 keys for 3 endpoints"):
        OpenaiRun(endpoints=("http://a", "http://b", "http://c"), keys=(Secret("1"), Secret("2"))).open()


def test_proxies_are_asked_once_and_never_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "near.example")
    run = OpenaiRun(endpoints=("http://far.example/v1", "http://near.example/v1", "http://127.0.0.1:1/v1"))
    assert [str(endpoint.proxy) for endpoint in run.open()] == ["http://proxy.example:3128", "None", "None"]


def test_identity_is_model_revision_and_extra() -> None:
    assert Openai(model="m", revision="r", run=OpenaiRun(endpoints=("http://a",))).identity == "openai/m@r"
    assert Openai(model="m").identity == "openai/m@unstated"
    extra = {"chat_template_kwargs": {"enable_thinking": False}}
    engine = Openai(model="m", extra=extra)
    assert engine.identity == 'openai/m@unstated+{"chat_template_kwargs":{"enable_thinking":false}}'
    extra["chat_template_kwargs"]["enable_thinking"] = True
    assert "false" in engine.identity


def test_where_it_runs_does_not_enter_the_fingerprint() -> None:
    here = Openai(model="m", run=OpenaiRun(endpoints=("http://a",), keys=(Secret("k"),)))
    there = Openai(model="m", run=OpenaiRun(endpoints=("http://b",), concurrency=3))
    assert fingerprint(here) == fingerprint(there)
    assert fingerprint(here) != fingerprint(Openai(model="m", revision="2"))


@pytest.mark.parametrize(
    "extra",
    [
        {"api_key": "hush"},
        {"headers": {"Authorization": "hush"}},
        {"providers": [{"name": "a"}, {"X-Api-Key": "hush"}]},
        {"apikey": "hush"},
        {"client_secret": "hush"},
        {"a": {"b": {"c": ({"db_password": "hush"},)}}},
        {"credentials": "hush"},
        {"access-token": "hush"},
        {"auth_token": "hush"},
        {"Bearer": "hush"},
    ],
)
def test_extra_takes_no_secret_at_any_depth(extra: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="goes into the environment, as MASHBILL_API_KEY") as caught:
        Openai(model="m", extra=extra)
    assert "hush" not in str(caught.value)


def test_extra_takes_names_that_only_speak_of_tokens_and_keys() -> None:
    extra = {"min_tokens": 3, "stop_token_ids": [1], "prompt_cache_key": "a", "skip_special_tokens": True}
    assert Openai(model="m", extra=extra).extra == extra


def test_extra_may_not_set_what_a_request_sets() -> None:
    with pytest.raises(SettingsError, match=r"sets \['stream', 'temperature'\]"):
        Openai(model="m", extra={"temperature": 0.1, "stream": True, "repetition_penalty": 1.1})


def test_a_key_shows_itself_to_nobody() -> None:
    run = OpenaiRun(endpoints=("http://a",), keys=(Secret("s3cret"),))
    assert "s3cret" not in repr(run) + str(run.keys) + repr(Openai(model="m", run=run)) + f"{run.keys[0]}"
