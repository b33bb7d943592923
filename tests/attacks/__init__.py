# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile connections to a server of ours on loopback: `python -m tests.attacks NAME PORT SECONDS [CONNECTIONS]`."""

from tests.attacks import calls, connections, frames

ATTACKS = calls.ATTACKS | frames.ATTACKS | connections.ATTACKS
