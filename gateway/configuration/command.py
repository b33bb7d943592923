# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m gateway settings [POD] [--markdown FILE]`: every setting, and its value now."""

import os
import sys
import textwrap
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from gateway.configuration.markdown import render
from gateway.configuration.reference import Entry, as_text, entries_of, sections
from gateway.configuration.registry import MODULES, settings_of
from gateway.configuration.unknown import require_known
from gateway.serving.starting import CannotStart

_COLUMNS: Final = 100
_INDENT: Final = "    "
_HIDDEN: Final = "(set, hidden)"


def main(parser: ArgumentParser) -> None:
    """List settings; exits with 1 where the environment has one that is wrong or unknown, after the list."""
    pods = ", ".join(MODULES)
    parser.add_argument("pod", nargs="?", choices=MODULES, metavar="POD", help=f"list only what this one reads: {pods}")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the reference of all settings to a file")
    options = parser.parse_args()
    if options.markdown is not None:
        options.markdown.write_text(render(), encoding="utf-8")
        return
    chosen = {options.pod: entries_of(settings_of(options.pod))} if options.pod else sections()
    try:
        for title, entries in chosen.items():
            print(f"{title}\n{'=' * len(title)}\n")
            print("\n".join(line for entry in entries for line in describe(entry, os.environ)), flush=True)
    except BrokenPipeError:
        # The reader has seen enough (`| head`). Python would complain once more when it closes its output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if causes := _causes(chosen.values(), os.environ):
        sys.exit("\n".join(causes))


def describe(entry: Entry, environment: Mapping[str, str]) -> list[str]:
    """The lines about a setting: its value now, what it means, its unit and default."""
    default = f"default {entry.default}" if entry.default else "unset by default"
    meaning = entry.meaning.replace("`", "")
    return [
        f"{entry.variable} = {_value(entry, environment)}".rstrip(),
        *textwrap.wrap(meaning, _COLUMNS, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False),
        *textwrap.wrap(f"[{entry.unit}; {default}]", _COLUMNS, initial_indent=_INDENT, subsequent_indent=_INDENT),
        "",
    ]


def _value(entry: Entry, environment: Mapping[str, str]) -> str:
    given = next((value for name, value in environment.items() if name.upper() == entry.variable), None)
    if entry.is_secret:
        return "" if given is None else _HIDDEN
    if given is not None:
        return given
    try:
        return as_text(getattr(entry.kind.read({}), entry.field))
    except CannotStart:
        # The class requires another setting.
        return entry.default


def _causes(chosen: Iterable[list[Entry]], environment: Mapping[str, str]) -> list[str]:
    """What is wrong with the environment; a setting that is missing is not, here."""
    causes: dict[str, None] = {}
    for kind in {entry.kind: None for entries in chosen for entry in entries}:
        try:
            kind.read(environment)
        except CannotStart as error:
            causes |= dict.fromkeys(cause for cause in error.causes if " is not set; " not in cause)
    try:
        require_known(environment)
    except CannotStart as error:
        causes |= dict.fromkeys(error.causes)
    return list(causes)
