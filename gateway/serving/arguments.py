# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of commands: each has `--help`, which names its settings and starts nothing."""

from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from typing import TypeAlias

from gateway.serving.environment import Settings

AddCommand: TypeAlias = Callable[[str, str], ArgumentParser]


def command_parser(command: str, does: str, settings: Iterable[type[Settings]] = ()) -> ArgumentParser:
    """A parser for the arguments after `python -m gateway COMMAND`.

    Args:
        command: its name.
        does: what it does, in a sentence.
        settings: the classes that it reads; none for a command that reads those of all pods.
    """
    classes = tuple(settings)
    own = sorted({f"{kind.model_config.get('env_prefix', '')}" for kind in classes} - {"", "ORRERY_"})
    names = {kind.variable(field) for kind in classes for field in kind.model_fields}
    shared = sorted(name for name in names if not name.startswith(tuple(own)))
    listed = ", ".join([*(f"{prefix}…" for prefix in own), *shared]) or "ORRERY_…"
    lister = f"python -m gateway settings {command}" if classes else "python -m gateway settings"
    epilog = f"Settings are environment variables: {listed}. `{lister}` lists them."
    return ArgumentParser(prog=f"python -m gateway {command}", description=does, epilog=epilog)


def command_adder(parser: ArgumentParser) -> AddCommand:
    """A function that adds a command by its name and by what it does; without any the parser's own command runs.

    The name of the chosen one is the attribute `command`, None for the parser's own.
    """
    parser.usage = f"{parser.prog} [-h] [COMMAND ...]"
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", prog=parser.prog)
    return lambda name, does: commands.add_parser(name, help=does, description=does, epilog=parser.epilog)
