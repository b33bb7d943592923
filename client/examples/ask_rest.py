# SPDX-License-Identifier: Apache-2.0
"""A question, a stream and a mistake over REST: `python client/examples/ask_rest.py [HOST:PORT]`; any client does."""

import http.client
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main() -> None:
    """Ask how near Apophis' orbit comes to Earth's, right and wrong."""
    edge = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8080"
    named = json.loads((Path(__file__).parent / "named_orbits.json").read_text(encoding="utf-8"))
    apophis = named[0]["object"]
    print("\nThe same over REST?")
    status, answer = ask(edge, "/api/moid", {"objects": [apophis]})
    moid = answer["objects"][0]["moids"][0]
    print(f"  POST /api/moid: {status}, {moid['planet']} at {moid['distance_au']:.10f} au")
    scenario = {"object": apophis, "duration_days": 1460}
    for update in ask_stream(edge, "/api/simulate/stream", {"scenario": scenario}):
        for approach in update.get("result", {}).get("baseline", []):
            print(f"  POST /api/simulate/stream: {approach['body']} at {approach['distance_km']:,.0f} km")
    apophis["elements"]["excentricity"] = 0.19
    apophis["physical"]["absoluteMagnitudeH"] = "bright"
    status, answer = ask(edge, "/api/predict", {"objects": [apophis]})
    print(f"  POST /api/predict: {status}")
    for line in json.dumps(answer, indent=2, ensure_ascii=False).splitlines():
        print(f"  {line}")


class Failed(Exception):
    """A stream that ended with a problem document (RFC 9457)."""


def ask_stream(edge: str, path: str, question: Any) -> Iterator[Any]:
    """Post JSON, and yield the messages of the stream that comes back.

    Raises:
        Failed: the call was refused, or failed on its way.
        ConnectionError: the stream was cut off: it has neither a problem document nor `{"complete": true}` at its end.
    """
    connection = http.client.HTTPConnection(edge, timeout=300)
    try:
        connection.request("POST", path, json.dumps(question), {"content-type": "application/json"})
        reply = connection.getresponse()
        for line in reply:
            message = json.loads(line)
            if message.get("complete"):
                return
            if "reason" in message:
                raise Failed(message["reason"], message["detail"])
            yield message
    except (http.client.IncompleteRead, ValueError) as cut:  # half a chunk, or half a line
        raise ConnectionError("the stream was cut off") from cut
    finally:
        connection.close()
    raise ConnectionError("the stream was cut off")


def ask(edge: str, path: str, question: Any) -> tuple[int, Any]:
    """Post JSON; the HTTP status and the answer, which is a problem document (RFC 9457) from 400 on."""
    connection = http.client.HTTPConnection(edge, timeout=20)
    headers = {"content-type": "application/json", "x-request-id": "an-example"}
    try:
        connection.request("POST", path, json.dumps(question), headers)
        reply = connection.getresponse()
        return reply.status, json.load(reply)
    finally:
        connection.close()


if __name__ == "__main__":
    try:
        main()
    except ConnectionRefusedError:
        print("  nothing listens: the edge is not installed or not running")
