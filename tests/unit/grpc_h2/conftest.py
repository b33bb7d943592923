# SPDX-License-Identifier: GPL-3.0-or-later
"""The client's tests run in asyncio's loop and in uvloop's, which pods run on."""

import asyncio

import uvloop


def pytest_asyncio_loop_factories(config, item):
    loops = {"asyncio": asyncio.new_event_loop}
    return loops | {"uvloop": uvloop.new_event_loop} if item.path.name.startswith("test_client") else loops
