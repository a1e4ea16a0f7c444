"""Parsers of arguments that name a file, a folder, a server or something else.

They expand `~` (a shell does not in `--path=~/data`) and refuse what would otherwise become a file
or folder with a strange name: the address of a server, or the empty value of an unset variable.
"""

from __future__ import annotations

import re
from pathlib import Path

import typer

from rdr_qdrant.client.api_key import refuse_credentials_in
from rdr_qdrant.client.connect import IN_MEMORY

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"[\w.-]+:\d{2,5}/?([?#].*)?$")


def parse_path(text: str) -> Path:
    """A file or folder of this machine."""
    if not text:
        raise typer.BadParameter("the path is empty; is a variable unset?")
    if _is_address(text):
        raise typer.BadParameter(f"{text!r} is an address, not a path of this machine.")
    return _expand_home(text)


def parse_qdrant_folder(text: str) -> Path:
    """The folder of an embedded Qdrant."""
    if _is_address(text):
        raise typer.BadParameter(f"{text!r} is not a folder. Name a server with --url.")
    if text == IN_MEMORY:
        raise typer.BadParameter(
            f"{text} would be forgotten when the command ends. Name a folder, or use "
            f'connect(path="{text}") in Python.'
        )
    return parse_path(text)


def parse_qdrant_place(text: str) -> str:
    """The URL of a server, or the folder of an embedded Qdrant."""
    if text.lower().startswith(("http://", "https://")):
        return text
    if _is_address(text):
        raise typer.BadParameter(
            f"{text!r} is neither a folder nor the URL of a server, such as http://localhost:6333."
        )
    folder = parse_qdrant_folder(text)
    return str(folder) if text.startswith("~") else text


def parse_url(text: str) -> str:
    """The URL of a server, which the client checks; not the empty value of an unset variable."""
    if not text:
        raise typer.BadParameter("the URL is empty; is a variable unset?")
    return text


def parse_name(text: str) -> str:
    """A name of any kind; not the empty value of an unset variable."""
    if not text:
        raise typer.BadParameter("the value is empty; is a variable unset?")
    return text


def parse_source(text: str) -> str:
    """A source to read: `-`, a file or a folder, named as it was given but for `~`."""
    parse_name(text)
    return str(_expand_home(text)) if text.startswith("~") else text


def _is_address(text: str) -> bool:
    """True for the address of a server.

    Raises:
        UsageError: it may hold a secret, which is not shown.
    """
    host_and_port = _HOST_AND_PORT.match(text) and not Path(text).exists()
    if not (_SCHEME.match(text) or host_and_port):
        return False
    refuse_credentials_in(text)
    return True


def _expand_home(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise typer.BadParameter(f"{text!r} cannot be expanded: {error}") from None
