"""Settings: the environment, the file, and the one line that a wrong one gets."""

import re
from pathlib import Path

import pytest

from app.config import SETTINGS, Settings, load_settings
from app.errors import ConfigError
from app.exchange import LogMode


def load(file=None, /, **environ: str) -> Settings:
    return load_settings({f"VERBATIM_{name}": text for name, text in environ.items()}, file)


def refusal(**environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(**environ)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_nothing_set_gives_the_defaults(tmp_path):
    settings = load_settings({"XDG_DATA_HOME": str(tmp_path), "PATH": "/bin"})
    assert settings == Settings(data_dir=settings.data_dir)
    assert settings.data_dir.is_absolute()
    assert settings.data_dir.name == "verbatim"


def test_every_kind_of_value_is_read(tmp_path):
    certificate = tmp_path / "cert.pem"
    certificate.write_text("certificate")
    settings = load(
        UPSTREAM="HTTP://Localhost:9000/openai/".replace("HTTP", "http"),
        UPSTREAMS="groq=https://api.groq.com/openai, local=http://[::1]:11434",
        PORT="9001",
        CONSOLE="off",
        CONSOLE_HOSTS="logs.example.com,*",
        WORKERS="4",
        DATABASE_URL="postgresql://me:secret@db:5432/verbatim?sslmode=require",
        DB_UPGRADE="off",
        DATA_DIR=str(tmp_path),
        JOURNAL_FSYNC="always",
        JOURNAL_MAX_BYTES="1.5 GiB",
        JOURNAL_MIN_FREE_BYTES="500MB",
        LOG="metadata",
        LOG_UPSTREAMS="groq=off",
        CLIENT_HEADERS="user,project",
        UPSTREAM_KEEPALIVE="500ms",
        DRAIN_SECONDS="2m",
        TLS_CERT=str(certificate),
        TLS_KEY=str(certificate),
        KEEP_CONTENT_DAYS="30",
        KEEP_METADATA_DAYS="365",
        STORE_MAX_GB="50",
    )
    assert settings.upstream == "http://localhost:9000/openai"
    assert settings.upstreams == {"groq": "https://api.groq.com/openai", "local": "http://[::1]:11434"}
    assert settings.port == 9001
    assert settings.console is False
    assert settings.console_hosts == ("logs.example.com", "*")
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value().startswith("postgresql://me:secret@")
    assert settings.db_upgrade is False
    assert settings.journal_max_bytes == 3 << 29
    assert settings.journal_min_free_bytes == 500_000_000
    assert settings.client_headers == {"user", "project"}
    assert settings.upstream_keepalive_seconds == 0.5
    assert settings.drain_seconds == 120
    assert settings.store_max_bytes == 50 * 10**9
    assert settings.tls_cert == certificate


def test_the_upstream_table_has_the_default_first_and_each_one_in_parts():
    table = load(
        UPSTREAM="http://10.0.0.1",
        UPSTREAMS="groq=https://api.groq.com/openai",
        LOG_UPSTREAMS="groq=metadata",
    ).upstream_table()
    assert [(u.name, u.scheme, u.host, u.port, u.prefix, u.log) for u in table] == [
        ("v1", "http", "10.0.0.1", 80, b"", LogMode.FULL),
        ("groq", "https", "api.groq.com", 443, b"/openai", LogMode.METADATA),
    ]


def test_an_upstream_is_never_logged_more_than_the_setting_allows():
    table = load(
        LOG="metadata", UPSTREAMS="a=http://a,b=http://b", LOG_UPSTREAMS="a=full,b=off"
    ).upstream_table()
    assert [upstream.log for upstream in table] == [LogMode.METADATA, LogMode.METADATA, LogMode.OFF]


def test_an_empty_value_counts_as_not_set():
    assert load(DATABASE_URL="", PORT="", TLS_CERT="") == load()


def test_the_file_takes_the_same_names_and_native_values_and_the_environment_wins(tmp_path):
    file = tmp_path / "verbatim.toml"
    file.write_text(
        'port = 9000\nVERBATIM_WORKERS = 3\nCONSOLE = false\nclient_headers = ["log", "project"]\n'
        'journal_fsync = "1s"\n[upstreams]\ngroq = "https://api.groq.com/openai"\n'
    )
    settings = load(file, PORT="9002")
    assert settings.port == 9002
    assert settings.workers == 3
    assert settings.console is False
    assert settings.client_headers == {"log", "project"}
    assert settings.upstreams == {"groq": "https://api.groq.com/openai"}
    assert load_settings({"VERBATIM_CONFIG": str(file)}).port == 9000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prot = 1", "prot in {file} is no setting; did you mean VERBATIM_PORT?"),
        ("port = 'x'", "port in {file}=x is no whole number; it takes a port"),
        ("port = 1\nPORT = 2", "stands there twice"),
        ("port = 1979-05-27", "is a date"),
        ("port = ", "is no TOML"),
        ("\x00", "is no TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_one_line_that_names_it(tmp_path, text, told):
    file = tmp_path / "verbatim.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert told.format(file=file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("name", "text", "wrong", "takes"),
    [
        ("PORT", "eighty", "is no whole number", "a port from 0 to 65535"),
        ("PORT", "65536", "is not between 0 and 65535", "a port"),
        ("PORT", "-1", "is no whole number", "a port"),
        ("PORT", "١", "is no whole number", "a port"),
        ("WORKERS", "0", "is not between 1 and 256", "a number of processes"),
        ("HOST", "http://localhost", "is no host name", "an address"),
        ("HOST", "localhost:80", "the port is a setting of its own", "an address"),
        ("CONSOLE", "maybe", "is neither on nor off", "on or off"),
        ("DB_UPGRADE", "later", "is neither auto nor off", "auto or off"),
        ("LOG", "everything", "is not full, metadata or off", "full, metadata or off"),
        ("LOG_LEVEL", "trace", "is not debug or info", "debug, info"),
        ("JOURNAL_FSYNC", "200", "is no duration", "off, always, or an interval such as 200ms"),
        ("JOURNAL_FSYNC", "0s", "is zero", "off, always"),
        ("JOURNAL_MAX_BYTES", "lots", "is no size", "10GiB"),
        ("JOURNAL_MAX_BYTES", "0", "is zero", "10GiB"),
        ("JOURNAL_ON_FULL", "fail", "is not fail_open or fail_closed", "fail_open or fail_closed"),
        ("ON_CLIENT_ABORT", "stop", "is not cancel or drain", "cancel or drain"),
        ("DRAIN_SECONDS", "soon", "is no duration", "a number of seconds"),
        ("PROJECT", "My Project", "is no name", "a name"),
        ("CLIENT_HEADERS", "log,cookie", "names cookie, which is no header of Verbatim's", "project"),
        ("CLIENT_HEADERS", "log,,user", "empty place between commas", "project"),
        ("CONSOLE_HOSTS", "a b", "is no host name", "host names"),
        ("DATA_DIR", "~nobody-has-this-name/x", "has a ~", "a directory"),
        ("UPSTREAM_CA", "/nowhere/ca.pem", "is no file", "PEM"),
        ("STORE_MAX_GB", "0.5", "is no whole number", "a number of gigabytes"),
        ("KEEP_CONTENT_DAYS", "1.5", "is no whole number", "a number of days"),
        ("UPSTREAM", "api.openai.com", "does not start with http:// or https://", "a URL"),
        ("UPSTREAM", "ftp://host", "does not start with http", "a URL"),
        ("UPSTREAM", "https://", "has no host", "a URL"),
        ("UPSTREAM", "https://u:p@host", "holds a user name or password", "a URL"),
        ("UPSTREAM", "https://host:0", "has no valid port", "a URL"),
        ("UPSTREAM", "https://host:99999", "has no valid port", "a URL"),
        ("UPSTREAM", "https://host:port", "has no valid port", "a URL"),
        ("UPSTREAM", "https://host/?x=1", "has a query", "a URL"),
        ("UPSTREAM", "https://host/a/../b", "dot segment", "a URL"),
        ("UPSTREAM", "https://host/a/%2E%2e/b", "dot segment", "a URL"),
        ("UPSTREAM", "https://höst", "characters that a URL cannot have", "a URL"),
        ("UPSTREAM", "https://host/\r\nX: y", "characters that a URL cannot have", "a URL"),
        ("UPSTREAM", "https://[::1", "is no URL", "a URL"),
        ("UPSTREAMS", "https://host", "has an item without =", "NAME=URL"),
        ("UPSTREAMS", "A=https://host", "is no name", "NAME=URL"),
        ("UPSTREAMS", "a=https://x,a=https://y", "has a name twice", "NAME=URL"),
        ("UPSTREAMS", "a=host", "gives a a URL that does not start with http://", "NAME=URL"),
        ("LOG_UPSTREAMS", "v1=some", "is not full, metadata or off", "NAME=MODE"),
    ],
)
def test_a_malformed_setting_is_refused_by_name_with_what_it_takes(name, text, wrong, takes):
    told = refusal(**{name: text})
    assert f"VERBATIM_{name}=" in told
    assert wrong in told
    assert takes in told.partition("; it takes ")[2]


@pytest.mark.parametrize("reserved", ["v1", "healthz", "readyz", "metrics"])
def test_paths_of_verbatims_own_cannot_be_upstreams(reserved):
    assert f"names an upstream {reserved}" in refusal(UPSTREAMS=f"{reserved}=https://host")


def test_an_upstream_that_ends_in_v1_is_refused_with_the_url_to_set():
    assert "leave it out, https://api.openai.com;" in refusal(UPSTREAM="https://api.openai.com/v1")
    assert "leave it out, http://h:1/openai;" in refusal(UPSTREAMS="groq=http://h:1/openai/v1/")


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"PORT": "8081"}, "VERBATIM_PORT and VERBATIM_CONSOLE_PORT are both 8081"),
        ({"PORT": "9", "CONSOLE_PORT": "9", "HOST": "0.0.0.0"}, "are both 9"),
        ({"TLS_CERT": __file__}, "VERBATIM_TLS_CERT is set without VERBATIM_TLS_KEY"),
        ({"TLS_KEY": __file__}, "VERBATIM_TLS_KEY is set without VERBATIM_TLS_CERT"),
        (
            {"LOG_UPSTREAMS": "groq=off"},
            "VERBATIM_LOG_UPSTREAMS names groq, which is not in VERBATIM_UPSTREAMS",
        ),
        ({"UPSTREAM": "http://localhost:8080"}, "VERBATIM_UPSTREAM is Verbatim's own listener, port 8080"),
        ({"UPSTREAMS": "a=http://127.0.0.1:8080"}, "VERBATIM_UPSTREAMS (a) is Verbatim's own listener"),
        (
            {"KEEP_METADATA_DAYS": "30", "KEEP_CONTENT_DAYS": "31"},
            "VERBATIM_KEEP_CONTENT_DAYS=31 is more than VERBATIM_KEEP_METADATA_DAYS=30",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(environ, told):
    assert told in refusal(**environ)


@pytest.mark.parametrize(
    "environ",
    [
        {"PORT": "0", "CONSOLE_PORT": "0"},
        {"PORT": "8081", "CONSOLE": "off"},
        {"PORT": "8081", "HOST": "10.0.0.1"},
        {"UPSTREAM": "http://localhost:11434"},
        {"CLIENT_HEADERS": "none"},
        {"KEEP_CONTENT_DAYS": "30"},
        {"KEEP_METADATA_DAYS": "30"},
    ],
)
def test_settings_that_only_look_contradictory_are_taken(environ):
    load(**environ)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("UPSTRAEM", "VERBATIM_UPSTREAM"),
        ("DB_URL", "VERBATIM_DATABASE_URL"),
        ("CONSOLE_TOKENS", "VERBATIM_CONSOLE_TOKEN"),
        ("PORT_FILE", "VERBATIM_PORT"),
        ("DATABASE_URL_FIL", "VERBATIM_DATABASE_URL_FILE"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(name, near):
    told = refusal(**{name: "x"})
    assert f"VERBATIM_{name} is no setting" in told
    assert f"did you mean {near}?" in told


def test_an_unknown_name_that_is_near_nothing_points_to_the_list():
    assert "docs/settings.md" in refusal(XYZZY="1")


def test_an_unknown_name_is_refused_when_empty_too():
    assert "is no setting" in refusal(XYZZY="")


def test_service_links_of_kubernetes_and_docker_are_passed_over():
    links = {
        "VERBATIM_SERVICE_HOST": "10.0.0.1",
        "VERBATIM_SERVICE_PORT": "8080",
        "VERBATIM_SERVICE_PORT_HTTP": "8080",
        "VERBATIM_PORT": "tcp://10.0.0.1:8080",
        "VERBATIM_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "VERBATIM_PORT_8080_TCP_ADDR": "10.0.0.1",
        "VERBATIM_CONSOLE_PORT": "tcp://10.0.0.1:8081",
        "VERBATIM_CONSOLE_SERVICE_HOST": "10.0.0.1",
        "VERBATIM_DB_PORT_5432_TCP_PROTO": "tcp",
    }
    assert load_settings(links) == load_settings({})


def test_a_secret_can_stand_in_a_file(tmp_path):
    file = tmp_path / "token"
    file.write_text("a-long-token\n")
    settings = load(CONSOLE_TOKEN_FILE=str(file))
    assert settings.console_token is not None
    assert settings.console_token.get_secret_value() == "a-long-token"


def test_a_secret_and_its_file_contradict_each_other(tmp_path):
    told = refusal(CONSOLE_TOKEN="x", CONSOLE_TOKEN_FILE=str(tmp_path / "token"))
    assert "VERBATIM_CONSOLE_TOKEN and VERBATIM_CONSOLE_TOKEN_FILE contradict each other" in told


def test_a_secrets_file_that_is_missing_or_empty_is_refused(tmp_path):
    assert "No such file" in refusal(DATABASE_URL_FILE=str(tmp_path / "none"))
    (tmp_path / "empty").write_text("\n")
    assert "the file is empty; it takes a URL such as" in refusal(DATABASE_URL_FILE=str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DATABASE_URL", "mysql://me:hunter2@db/verbatim"),
        ("DATABASE_URL", "postgresql://me:hunter2@db:notaport/verbatim"),
        ("DATABASE_URL", "postgresql://me:hunter2/3@db/verbatim"),
        ("DATABASE_URL", "postgresql://me: hunter2@db/verbatim"),
        ("DATABASE_URL", "postgresql://me@[hunter2]/verbatim"),
        ("CONSOLE_TOKEN", "hunter2 with spaces"),
    ],
)
def test_a_wrong_secret_is_refused_without_being_shown(name, text):
    told = refusal(**{name: text})
    assert f"VERBATIM_{name} " in told
    assert "hunter2" not in told


def test_a_password_in_an_upstream_is_not_shown():
    assert "hunter2" not in refusal(UPSTREAM="https://me:hunter2@host")
    assert "hunter2" not in refusal(UPSTREAMS="a=https://me:hunter2@host")


def test_no_secret_is_in_the_settings_repr():
    settings = load(
        DATABASE_URL="postgresql://me:hunter2@db/verbatim",
        DATABASE_URL_ADMIN="postgresql://me:hunter2@db/verbatim",
        CONSOLE_TOKEN="hunter2",
        FINGERPRINT_KEY="hunter2",
    )
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_a_hostile_value_is_shown_in_one_short_line():
    told = refusal(LOG="\x1b[31m\n" + "x" * 5000)
    assert "\x1b" not in told
    assert len(told) < 400


def test_the_console_answers_to_loopback_names_its_own_address_and_the_listed_ones():
    assert load().console_host_names() == {"localhost", "127.0.0.1", "::1"}
    names = load(CONSOLE_HOST="0.0.0.0", CONSOLE_HOSTS="Logs.Example.com").console_host_names()
    assert names == {"localhost", "127.0.0.1", "::1", "logs.example.com"}
    assert "10.0.0.7" in load(CONSOLE_HOST="10.0.0.7").console_host_names()


def test_settings_cannot_be_changed_once_read():
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1


def test_every_field_has_its_setting_and_every_setting_its_field():
    assert sorted(setting.field for setting in SETTINGS) == sorted(Settings.model_fields)


def documented() -> dict[str, str]:
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    rows = re.findall(r"^\| `VERBATIM_(\w+)` \| (.+?) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len({name for name, _ in rows})
    return dict(rows)


def test_the_page_of_settings_and_the_code_name_the_same_settings():
    assert sorted(documented()) == sorted(setting.name for setting in SETTINGS)


def test_the_defaults_on_the_page_are_those_of_the_code(tmp_path):
    (tmp_path / "file").write_text("x")
    for setting in SETTINGS:
        default = documented()[setting.name]
        if default.startswith("`") and setting.name != "DATABASE_URL_ADMIN":
            told = setting.parse(default.strip("`"))
            kept = Settings.model_fields[setting.field].default
            assert kept == told, setting.name


def test_every_secret_setting_is_named_where_the_page_tells_of_files():
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    section = page.partition("## Secrets in files")[2].partition("##")[0]
    assert set(re.findall(r"`VERBATIM_(\w+)`", section)) == {s.name for s in SETTINGS if s.secret}
