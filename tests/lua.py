# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge's filters in LuaJIT inside Python: what is Envoy's, `handle`, is not there; what is the filters' own is."""

import json

from lupa.luajit21 import LuaRuntime

from gateway.edge.lua_tables import lua_tables
from gateway.edge.render import SOURCES
from gateway.edge.rest import rest_methods

MIB = 1024 * 1024


def lua_function(expression, *parts):
    """What an expression is after some of the sources ran, with the contract's tables before them."""
    lua = LuaRuntime(encoding=None, unpack_returned_tuples=True)
    tables = lua_tables(rest_methods(), MIB)
    sources = [(SOURCES / "lua" / f"{part}.lua").read_text(encoding="utf-8") for part in parts]
    return lua.execute("\n".join([tables, *sources, f"return {expression}"]).encode())


def checker(most=100):
    """A function from a body (bytes or what becomes JSON) and a message's name to [(path, description), ...]."""
    check = lua_function(
        "function(body, name, most) return strict.violations(body, name, schema, most) end", "strict_json"
    )

    def violations(body, message="PredictRequest"):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        found = check(raw, message.encode(), most)
        return [tuple(text.decode(errors="replace") for text in pair.values()) for pair in found.values()]

    return violations
