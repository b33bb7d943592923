# SPDX-License-Identifier: GPL-3.0-or-later
"""Which predictions are run on the event loop, and which in threads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tensorflow_serving.apis import predict_pb2

from gateway.model_server.servicers import PredictionServicer


class Models:
    """Remembers whether each prediction was run in a thread."""

    def __init__(self, wait_s):
        self.wait_s = wait_s
        self.in_threads = []

    def predict(self, request):
        self.in_threads.append(threading.current_thread() is not threading.main_thread())
        time.sleep(self.wait_s)
        return request


@pytest.mark.parametrize(
    ("wait_s", "content", "in_threads"),
    [
        pytest.param(0.0, b"", [True, False, False], id="quick"),
        pytest.param(0.05, b"", [True, True, True], id="waits for threads of TensorFlow's own"),
        pytest.param(0.0, b"x" * 100_000, [True, True, True], id="large"),
    ],
)
async def test_a_quick_model_is_run_at_once_and_the_loop_waits_for_no_other(wait_s, content, in_threads):
    models = Models(wait_s)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "tested"
    request.inputs["rows"].tensor_content = content
    with ThreadPoolExecutor(1) as executor:
        servicer = PredictionServicer(models, executor)
        for _ in range(3):
            await servicer.Predict(request, None)
    assert models.in_threads == in_threads
