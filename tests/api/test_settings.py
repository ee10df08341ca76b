from pathlib import Path

import pytest

from api.errors import SettingsError
from api.settings import MEANINGS, Settings, is_loopback, load_settings


def test_defaults_without_anything(tmp_path: Path) -> None:
    assert load_settings({}, tmp_path) == Settings()


def test_file_then_environment_then_command_line(tmp_path: Path) -> None:
    (tmp_path / "worlds.toml").write_text('port = 1\nqueue = 2\ndomain = "dogposts"\n')
    found = load_settings({"WORLDS_PORT": "3", "WORLDS_QUEUE": "4"}, tmp_path, port=5, var=None)
    assert (found.domain, found.queue, found.port, found.var) == ("dogposts", 4, 5, "var")


def test_names_of_other_programs_are_no_settings() -> None:
    assert load_settings({"PATH": "/bin", "WORLD": "x"}) == Settings()


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"WORLDS_PROT": "1"}, "unknown settings .*prot.*known: .*port"),
        ({"WORLDS_PORT": "many"}, "WORLDS_PORT='many'"),
        ({"WORLDS_PORT": "70000"}, "70000"),
        ({"WORLDS_POLL_SECONDS": "0"}, "WORLDS_POLL_SECONDS"),
        ({"WORLDS_POLL_SECONDS": "nan"}, "WORLDS_POLL_SECONDS"),
        ({"WORLDS_ACCESS_LOG": "perhaps"}, "WORLDS_ACCESS_LOG"),
        ({"WORLDS_HOST": "0.0.0.0"}, "reachable from other machines"),  # noqa: S104 - refused
        ({"WORLDS_HOST": "192.168.1.7"}, "bind 127.0.0.1"),
        ({"WORLDS_HOST": "example.org"}, "reachable from other machines"),
    ],
)
def test_wrong_settings_are_named(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(environ)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('prot = "x"', "unknown settings in worlds.toml: prot"),
        ('port = "8000"', "port"),
        ("port =", "worlds.toml cannot be read"),
        ('host = "::"', "reachable from other machines"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "worlds.toml").write_text(content)
    with pytest.raises(SettingsError, match=message):
        load_settings({}, tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "[::1]", "localhost"])
def test_loopback_is_loopback(host: str) -> None:
    assert is_loopback(host)
    assert Settings(host=host).host == host


def test_every_setting_is_explained() -> None:
    assert set(MEANINGS) == set(Settings.__struct_fields__)
