"""Which settings there are, where their text comes from, and the one line that a wrong one gets."""

from __future__ import annotations

import difflib
import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from app.config import values
from app.config.settings import LOOPBACK_HOSTS, WILDCARD_HOSTS, Settings
from app.errors import ConfigError

PREFIX = "VERBATIM_"
_SHOWN_CHARACTERS = 160
_USERINFO = re.compile(r"//[^/\s]*@")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name, the field of Settings that holds it, how its text is read and what it takes."""

    name: str
    """The environment variable without the prefix."""
    field: str
    parse: Callable[[str], object]
    takes: str
    secret: bool = False
    """Its value is never shown; NAME_FILE may point to a file that holds it."""


_PORT = "a port from 0 to 65535 (0: any free one)"
_SIZE = "a size such as 10GiB, 500MB or 1048576"

SETTINGS: tuple[Setting, ...] = (
    Setting("UPSTREAM", "upstream", values.upstream_url, "a URL such as https://api.openai.com"),
    Setting(
        "UPSTREAMS",
        "upstreams",
        values.named_upstreams,
        "NAME=URL,… such as groq=https://api.groq.com/openai",
    ),
    Setting("HOST", "host", values.bare_host, "an address or host name such as 127.0.0.1"),
    Setting("PORT", "port", values.number(0, 65535), _PORT),
    Setting("CONSOLE", "console", values.switch("on", "off"), "on or off"),
    Setting("CONSOLE_HOST", "console_host", values.bare_host, "an address or host name such as 127.0.0.1"),
    Setting("CONSOLE_PORT", "console_port", values.number(0, 65535), _PORT),
    Setting("CONSOLE_HOSTS", "console_hosts", values.host_names, "host names separated by commas, or *"),
    Setting(
        "CONSOLE_TOKEN",
        "console_token",
        values.visible_text,
        "a long random word without spaces",
        secret=True,
    ),
    Setting("WORKERS", "workers", values.number(1, 256), "a number of processes from 1 to 256"),
    Setting(
        "DATABASE_URL",
        "database_url",
        values.database_url,
        "a URL such as postgresql://user:password@host:5432/database",
        secret=True,
    ),
    Setting(
        "DATABASE_URL_ADMIN",
        "database_url_admin",
        values.database_url,
        "a URL such as postgresql://owner:password@host:5432/database",
        secret=True,
    ),
    Setting("DB_UPGRADE", "db_upgrade", values.switch("auto", "off"), "auto or off"),
    Setting("DATA_DIR", "data_dir", values.directory, "a directory on a local disk"),
    Setting(
        "JOURNAL_FSYNC", "journal_fsync", values.fsync_policy, "off, always, or an interval such as 200ms"
    ),
    Setting("JOURNAL_MAX_BYTES", "journal_max_bytes", values.size_bytes, _SIZE),
    Setting("JOURNAL_MIN_FREE_BYTES", "journal_min_free_bytes", values.size_bytes, _SIZE),
    Setting(
        "JOURNAL_ON_FULL",
        "journal_on_full",
        values.choice("fail_open", "fail_closed"),
        "fail_open or fail_closed",
    ),
    Setting("LOG", "log", values.log_mode, "full, metadata or off"),
    Setting("LOG_UPSTREAMS", "log_upstreams", values.named_log_modes, "NAME=MODE,… such as groq=metadata"),
    Setting(
        "LOG_LEVEL",
        "log_level",
        values.choice("debug", "info", "warning", "error"),
        "debug, info, warning or error",
    ),
    Setting("PROJECT", "project", values.name, "a name such as default"),
    Setting(
        "CLIENT_HEADERS",
        "client_headers",
        values.client_headers,
        "names among log, user, conversation, tag, project, separated by commas; or none",
    ),
    Setting("ON_CLIENT_ABORT", "on_client_abort", values.choice("cancel", "drain"), "cancel or drain"),
    Setting("FINGERPRINT_KEY", "fingerprint_key", values.any_text, "a secret of any characters", secret=True),
    Setting("UPSTREAM_CA", "upstream_ca", values.existing_file, "a file of PEM certificates"),
    Setting(
        "UPSTREAM_KEEPALIVE",
        "upstream_keepalive_seconds",
        values.seconds,
        "a duration such as 30s; 0 for none",
    ),
    Setting(
        "MAX_INFLIGHT", "max_inflight", values.number(1, 1_000_000), "a number of exchanges from 1 to 1000000"
    ),
    Setting("MAX_BODY_BYTES", "max_body_bytes", values.size_bytes, _SIZE),
    Setting("DRAIN_SECONDS", "drain_seconds", values.seconds, "a number of seconds such as 120"),
    Setting("TLS_CERT", "tls_cert", values.existing_file, "a file with a PEM certificate chain"),
    Setting("TLS_KEY", "tls_key", values.existing_file, "a file with a PEM private key"),
    Setting("PRICES", "prices", values.existing_file, "a file of prices as docs/settings.md describes it"),
    Setting("KEEP_CONTENT_DAYS", "keep_content_days", values.number(1, 36_500), "a number of days"),
    Setting("KEEP_METADATA_DAYS", "keep_metadata_days", values.number(1, 36_500), "a number of days"),
    Setting("STORE_MAX_GB", "store_max_gb", values.number(1, 1_000_000), "a number of gigabytes"),
)

# What Kubernetes and Docker links put into the environment where a service is called `verbatim` or `verbatim-…`.
_SERVICE_LINK = re.compile(
    r"VERBATIM_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?|ENV_\w+)"
)


@dataclass(frozen=True, slots=True)
class _Given:
    """A setting's text and the words that say where it stands."""

    text: str
    where: str


def load_settings(environ: Mapping[str, str], config_file: Path | None = None) -> Settings:
    """Settings from the environment over those of a TOML file (`config_file`, else VERBATIM_CONFIG).

    An empty text counts as not given. Raises ConfigError, one line, for anything unknown, malformed or contradictory.
    """
    file = config_file or (Path(environ["VERBATIM_CONFIG"]) if environ.get("VERBATIM_CONFIG") else None)
    given = {**(_from_file(file) if file else {}), **_from_environment(environ)}
    parsed: dict[str, object] = {"data_dir": _default_data_dir(environ)}
    parsed |= {
        setting.field: _parse(setting, found)
        for setting in SETTINGS
        if (found := _resolve(setting, given)) is not None
    }
    settings = Settings.model_validate(parsed)
    _check_together(settings)
    return settings


def forget_secrets(environ: MutableMapping[str, str]) -> None:
    """Takes secrets out of an environment that was read: processes that are begun later do not inherit them."""
    for setting in SETTINGS:
        if setting.secret:
            environ.pop(PREFIX + setting.name, None)


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    given: dict[str, _Given] = {}
    for variable, text in environ.items():
        name = variable.removeprefix(PREFIX)
        if name == variable or name == "CONFIG" or _is_service_link(variable, text):
            continue
        _refuse_unknown(name, shown(variable))
        if text:
            given[name] = _Given(text, variable)
    return given


def _is_service_link(variable: str, text: str) -> bool:
    if variable.endswith("_PORT") and text.startswith(("tcp://", "udp://", "sctp://")):
        return True
    return _SERVICE_LINK.fullmatch(variable) is not None


def _from_file(path: Path) -> dict[str, _Given]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"configuration file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration file {path} is no TOML: {error}") from error
    given: dict[str, _Given] = {}
    for key, value in table.items():
        name = key.upper().removeprefix(PREFIX)
        where = f"{shown(key)} in {path}"
        _refuse_unknown(name, where)
        if name in given:
            raise ConfigError(f"{where} stands there twice, in two spellings")
        text = _as_text(value, where)
        if text:
            given[name] = _Given(text, where)
    return given


def _as_text(value: object, where: str) -> str:
    match value:
        case bool():
            return "on" if value else "off"
        case str() | int() | float():
            return str(value)
        case list():
            return ",".join(_as_text(item, where) for item in value)
        case dict():
            return ",".join(f"{key}={_as_text(item, where)}" for key, item in value.items())
        case _:
            raise ConfigError(
                f"{where} is a {type(value).__name__}; settings are texts, numbers, lists or tables"
            )


def _refuse_unknown(name: str, where: str) -> None:
    known = [setting.name for setting in SETTINGS]
    known += [f"{setting.name}_FILE" for setting in SETTINGS if setting.secret]
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {PREFIX}{near[0]}?" if near else "docs/settings.md lists all settings"
    raise ConfigError(f"{where} is no setting; {hint}")


def _resolve(setting: Setting, given: Mapping[str, _Given]) -> _Given | None:
    """The setting's text, read from its NAME_FILE where that is given."""
    direct = given.get(setting.name)
    pointer = given.get(f"{setting.name}_FILE") if setting.secret else None
    if pointer is None:
        return direct
    if direct is not None:
        raise ConfigError(f"{direct.where} and {pointer.where} contradict each other; set one of them")
    try:
        text = Path(pointer.text).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise ConfigError(
            f"{pointer.where}={shown(pointer.text)}: {reason}; it takes a file's path"
        ) from error
    if not text:
        raise ConfigError(
            f"{pointer.where}={shown(pointer.text)}: the file is empty; it takes {setting.takes}"
        )
    return _Given(text, f"the file of {pointer.where}")


def _parse(setting: Setting, given: _Given) -> object:
    try:
        return setting.parse(given.text if setting.secret else given.text.strip())
    except ValueError as error:
        value = "" if setting.secret else f"={shown(given.text)}"
        raise ConfigError(f"{given.where}{value} {error}; it takes {setting.takes}") from error


def shown(text: str) -> str:
    """Text from outside, made fit for one line: passwords in URLs masked, control characters escaped, cut when long."""
    text = _USERINFO.sub("//***@", text)
    cut = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in cut)


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    home = Path(environ.get("HOME") or "~").expanduser().absolute()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "verbatim"
    if os.geteuid() == 0:
        return Path("/var/lib/verbatim")
    data_home = environ.get("XDG_DATA_HOME", "")
    # The specification says that a relative path here is to be ignored.
    return (Path(data_home) if data_home.startswith("/") else home / ".local" / "share") / "verbatim"


def _check_together(settings: Settings) -> None:
    """Refuses settings that are right alone and contradict each other."""
    for rule in (_check_ports, _check_tls, _check_upstreams, _check_retention):
        fault = rule(settings)
        if fault:
            raise ConfigError(fault)


def _check_ports(settings: Settings) -> str | None:
    if not settings.console or settings.port == 0 or settings.port != settings.console_port:
        return None
    hosts = {settings.host, settings.console_host}
    if len(hosts) == 1 or hosts & set(WILDCARD_HOSTS):
        return (
            f"VERBATIM_PORT and VERBATIM_CONSOLE_PORT are both {settings.port}; give each a port of its own"
        )
    return None


def _check_tls(settings: Settings) -> str | None:
    if settings.tls_cert and not settings.tls_key:
        return "VERBATIM_TLS_CERT is set without VERBATIM_TLS_KEY; set both or neither"
    if settings.tls_key and not settings.tls_cert:
        return "VERBATIM_TLS_KEY is set without VERBATIM_TLS_CERT; set both or neither"
    return None


def _check_upstreams(settings: Settings) -> str | None:
    strangers = sorted(settings.log_upstreams.keys() - settings.upstreams.keys() - {"v1"})
    if strangers:
        return (
            f"VERBATIM_LOG_UPSTREAMS names {strangers[0]}, which is not in VERBATIM_UPSTREAMS; add it there"
        )
    own = (
        {settings.host, *LOOPBACK_HOSTS}
        if settings.host in (*WILDCARD_HOSTS, *LOOPBACK_HOSTS)
        else {settings.host}
    )
    for upstream in settings.upstream_table():
        if upstream.port == settings.port and upstream.host in own:
            name = "VERBATIM_UPSTREAM" if upstream.name == "v1" else f"VERBATIM_UPSTREAMS ({upstream.name})"
            return f"{name} is Verbatim's own listener, port {settings.port}; it takes the provider's URL"
    return None


def _check_retention(settings: Settings) -> str | None:
    content, metadata = settings.keep_content_days, settings.keep_metadata_days
    if content is not None and metadata is not None and content > metadata:
        return (
            f"VERBATIM_KEEP_CONTENT_DAYS={content} is more than VERBATIM_KEEP_METADATA_DAYS={metadata}, "
            "and content goes with its metadata; set it to the same or less"
        )
    return None
