# SPDX-License-Identifier: GPL-3.0-or-later
"""What stops an export: the command line says it in one line instead of a traceback."""


class ExportError(ValueError):
    """The base of every refusal of this package."""
