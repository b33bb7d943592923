# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a front as a user of NVIDIA's tritonclient does; runs in an environment of its own (`make test` makes it).

`triton_asks.py HOST:PORT` reads {"orbits": [[6 numbers], ...]} from standard input and prints what it was told as JSON.
"""

import asyncio
import json
import sys

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

MODELS = ("neo_classifier", "neo_anomaly")


def tensor(kind, name, values):
    made = kind.InferInput(name, list(values.shape), {"f8": "FP64", "f4": "FP32"}[values.dtype.str[1:]])
    made.set_data_from_numpy(values)
    return made


def told(result):
    """Outputs by name, and which version."""
    reply = result.get_response(as_json=True)
    outputs = {output["name"]: result.as_numpy(output["name"]).tolist() for output in reply["outputs"]}
    return {"version": reply["model_version"], "outputs": outputs}


def main(address):
    orbits = np.array(json.load(sys.stdin)["orbits"])
    said = {"models": {}}
    with triton.InferenceServerClient(address) as client:
        said["live"], said["ready"] = client.is_server_live(), client.is_server_ready()
        said["server"] = client.get_server_metadata(as_json=True)
        for name in MODELS:
            matrix = tensor(triton, "orbits", orbits)
            one = client.infer(name, [matrix], request_id="seven")
            version = one.get_response().model_version
            wanted = [triton.InferRequestedOutput(next(iter(told(one)["outputs"])))]
            said["models"][name] = {
                "ready": client.is_model_ready(name),
                "metadata": client.get_model_metadata(name, as_json=True),
                "matrix": told(one),
                "id": one.get_response().id,
                "single": told(client.infer(name, [tensor(triton, "orbits", orbits.astype(np.float32))])),
                "pinned": told(client.infer(name, [matrix], model_version=version)),
                "chosen": told(client.infer(name, [matrix], outputs=wanted)),
            }
        try:
            client.infer("neo_classifier", [tensor(triton, "orbits", -orbits)])
        except InferenceServerException as refusal:
            said["refusal"] = [refusal.status(), refusal.message()]
    said["asyncio"] = asyncio.run(by_asyncio(address, orbits))
    json.dump(said, sys.stdout)


async def by_asyncio(address, orbits):
    async with triton_aio.InferenceServerClient(address) as client:
        return told(await client.infer("neo_anomaly", [tensor(triton_aio, "orbits", orbits)]))


if __name__ == "__main__":
    main(sys.argv[1])
