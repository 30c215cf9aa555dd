"""Settings ↔ YAML: files, ``key.path=value`` overrides, and what is wrong with them in one line."""

from __future__ import annotations

import os
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from videoseq.config.old_settings import explain_old_name
from videoseq.config.schema import Settings, TrainSettings
from videoseq.errors import ConfigError, did_you_mean, one_line


def load_settings(
    path: str | os.PathLike[str] | None = None, overrides: Iterable[str] | Mapping[str, object] = ()
) -> TrainSettings:
    """Reads a YAML file, if any, then applies overrides.

    Args:
        path: The YAML file.
        overrides: Values by dotted keys, such as ``{"data.background": "other"}``; or ``key.path=value`` as text, where
            values are YAML too.

    Raises:
        ConfigError: The file cannot be read, a key is unknown, or a value is out of range.
    """
    values = _read_yaml(Path(path)) if path is not None else {}
    parsed = dict(overrides) if isinstance(overrides, Mapping) else dict(map(_parse_override, overrides))
    for key, value in parsed.items():
        _assign(values, key.split("."), value)
    try:
        return TrainSettings.model_validate(values)
    except ValidationError as error:
        where, problem = _first_problem(error)
        given = "settings" if isinstance(overrides, Mapping) else "--set"
        raise ConfigError(f"{given if where in parsed else path or 'settings'}: {where}: {problem}") from None


def _parse_override(text: str) -> tuple[str, object]:
    key, separator, value = text.partition("=")
    if not separator or not all(key.split(".")):
        raise ConfigError(f"--set: expected key.path=value, got {text!r}")
    return key, _parse_yaml(value, f"--set {key}")


def dump_settings(settings: TrainSettings) -> str:
    """The settings as YAML that :func:`load_settings` reads back to an equal value."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read_yaml(path: Path) -> dict[Any, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a readable YAML file; {error}") from None
    values = _parse_yaml(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected settings as 'key: value' lines, got {type(values).__name__}")
    # A group of which every line is commented out reads as nothing, and means its defaults.
    return {key: {} if value is None and _is_group(key) else value for key, value in values.items()}


def _is_group(key: object) -> bool:
    field = TrainSettings.model_fields.get(str(key))
    return field is not None and isinstance(field.default, Settings)


def _parse_yaml(text: str, where: str) -> Any:  # noqa: ANN401 (YAML may hold anything; pydantic decides)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark is not None else ""
        problem = one_line(getattr(error, "problem", None) or str(error).partition("\n")[0])
        raise ConfigError(f"{where}: not valid YAML{line}; {problem}") from None
    except ValueError as error:  # what looks like a date and is none
        raise ConfigError(f"{where}: not valid YAML; {error}, got {one_line(text[:80])!r}") from None


def _assign(values: dict[Any, Any], keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set: {key!r} is a value, not a group of settings")
        values = inner
    values[keys[-1]] = value


def _first_problem(error: ValidationError) -> tuple[str, str]:
    """Where the first problem is, and what."""
    problem = error.errors()[0]
    location = [str(part) for part in problem["loc"]]
    where = ".".join(location)
    if problem["type"] == "extra_forbidden":
        if old := explain_old_name(where):
            return where, old
        known = _fields_at(TrainSettings, location[:-1])
        return where, f"unknown setting{did_you_mean(location[-1], known)}; known here: {', '.join(known)}"
    if problem["type"] == "model_type":
        known = _fields_at(TrainSettings, location)
        return where, f"expected a group of settings ({', '.join(known)}), got {problem['input']!r}"
    if problem["type"] == "value_error":  # settings that are impossible together; the message says all
        name, _, text = str(problem["ctx"]["error"]).partition(": ")
        return ".".join((*location, name)), text
    if problem["type"] == "string_type" and not isinstance(problem["input"], list | dict):
        got = f"got {problem['input']!r}"
        return where, f'expected text, {got}; YAML reads no, off, null or 1 as something else: quote it, as in "no"'
    return where, f"{problem['msg'].lower()}, got {problem['input']!r}"


def _fields_at(settings: type[BaseModel], location: list[str]) -> list[str]:
    for part in location:
        inner = settings.model_fields[part].annotation
        if get_origin(inner) in (Union, types.UnionType):
            inner = next(arm for arm in get_args(inner) if arm is not type(None))
        assert isinstance(inner, type), inner
        assert issubclass(inner, BaseModel), inner
        settings = inner
    return list(settings.model_fields)
