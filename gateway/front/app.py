# SPDX-License-Identifier: GPL-3.0-or-later
"""The front pod: what it serves, and whom it asks."""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health

from gateway.front.drift import front_monitor
from gateway.front.forwarding import forwarding_handler
from gateway.front.judging import Judges
from gateway.front.open_inference import OpenInferenceServicer, open_inference_handler
from gateway.front.open_inference_messages import SERVICE as OPEN_INFERENCE
from gateway.front.open_inference_models import Classifier, Forest
from gateway.front.prediction import PredictionServicer
from gateway.front.rollout import Rollout
from gateway.front.settings import FrontSettings
from gateway.front.shadow import Shadow
from gateway.front.tf_serving import TensorFlowServing
from gateway.front.tuning import MEASURED, Tuning
from gateway.serving import server as serving
from gateway.serving.channels import follow, open_channel, pod_readiness
from gateway.serving.processors import cpu_quota
from gateway.serving.settings import CLASSIFIER_NAME, FOREST_NAME
from gateway.serving.transports.interface import Channel
from gateway.serving.turns import Turns
from orrery.inference import v1
from orrery.inference.v1 import (
    anomaly_service_pb2,
    feedback_service_pb2,
    prediction_service_pb2,
    simulation_service_pb2,
)

PREDICTION: ServiceDescriptor = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]
ANOMALY: ServiceDescriptor = anomaly_service_pb2.DESCRIPTOR.services_by_name["AnomalyService"]
SIMULATION: ServiceDescriptor = simulation_service_pb2.DESCRIPTOR.services_by_name["SimulationService"]
FEEDBACK: ServiceDescriptor = feedback_service_pb2.DESCRIPTOR.services_by_name["FeedbackService"]


@contextlib.asynccontextmanager
async def mount(
    settings: FrontSettings,
    server: grpc.aio.Server,
    checks: health.aio.HealthServicer,
    tuning: Tuning = MEASURED,
) -> AsyncIterator[Sequence[str]]:
    """Serve all services while entered; their health follows their backends."""
    async with contextlib.AsyncExitStack() as stack:

        async def channel_to(field: str) -> Channel:
            with settings.naming(field):
                channel = open_channel(getattr(settings, field), settings.max_message_bytes)
            return await stack.enter_async_context(channel)

        models = TensorFlowServing(await channel_to("model_server_address"), CLASSIFIER_NAME)
        anomaly = await channel_to("anomaly_address")
        simulation = await channel_to("simulation_address")
        feedback = await channel_to("feedback_address")

        shared = None
        if settings.cache_redis_url is not None:
            module = importlib.import_module("gateway.front.shared_cache")
            with settings.naming("cache_redis_url"):
                shared = module.SharedPredictions(settings.cache_redis_url.get_secret_value(), CLASSIFIER_NAME)
            stack.push_async_callback(shared.close)
        turns = stack.enter_context(Turns(cpu_quota(), name="rows"))
        judges = Judges(models, turns, tuning)
        rollout = Rollout(judges, models, settings, tuning)
        shadow = Shadow(models, settings, rollout.version)
        stack.push_async_callback(shadow.close)
        rollout.tell(shadow.observe)
        drift = front_monitor(models, settings)
        rollout.tell(
            lambda rows, said: drift.observe(said.version, rows, said.pha_probability, said.class_probabilities)
        )
        await rollout.look()
        prediction = PredictionServicer(judges, rollout, settings, turns, shared, tuning)
        v1.add_PredictionServiceServicer_to_server(prediction, server)
        open_inference = OpenInferenceServicer(
            {
                CLASSIFIER_NAME: Classifier(judges, rollout),
                FOREST_NAME: Forest(anomaly),
            },
            checks,
            (PREDICTION.full_name, ANOMALY.full_name),
            settings.prediction_deadline_s,
        )
        forward = partial(forwarding_handler, stream_cap_s=settings.stream_deadline_s)
        server.add_generic_rpc_handlers(
            (
                forward(ANOMALY, anomaly, backend="anomaly", cap_s=settings.anomaly_deadline_s),
                forward(SIMULATION, simulation, backend="simulation", cap_s=settings.simulation_deadline_s),
                forward(FEEDBACK, feedback, backend="feedback", cap_s=settings.feedback_deadline_s),
                open_inference_handler(open_inference),
            )
        )
        timeout_s = tuning.health_period_s
        questions: dict[str, Callable[[], Awaitable[bool]]] = {
            PREDICTION.full_name: partial(models.is_available, timeout_s=timeout_s),
            ANOMALY.full_name: pod_readiness(anomaly, ANOMALY.full_name, timeout_s=timeout_s),
            SIMULATION.full_name: pod_readiness(simulation, SIMULATION.full_name, timeout_s=timeout_s),
            FEEDBACK.full_name: pod_readiness(feedback, FEEDBACK.full_name, timeout_s=timeout_s),
        }
        for service in questions:
            await checks.set(service, serving.NOT_SERVING)
        async with asyncio.TaskGroup() as followers:
            tasks = [
                followers.create_task(follow(checks, service, is_ready, period_s=tuning.health_period_s))
                for service, is_ready in questions.items()
            ]
            tasks += [followers.create_task(work) for work in (rollout.follow(), drift.follow())]
            yield (*questions, OPEN_INFERENCE.full_name)
            for task in tasks:
                task.cancel()


def main() -> None:
    """`python -m gateway front`."""
    settings = FrontSettings()
    serving.run("front", settings, partial(mount, settings))
