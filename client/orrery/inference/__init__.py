# SPDX-License-Identifier: Apache-2.0
"""Client of Orrery Inference: `v1` holds the contract's messages, `InferenceClient` and `AsyncInferenceClient` ask."""

from orrery.inference.aio import AsyncInferenceClient as AsyncInferenceClient
from orrery.inference.channel import SERVICE_CONFIG as SERVICE_CONFIG
from orrery.inference.channel import Tls as Tls
from orrery.inference.channel import UnsafeTokenError as UnsafeTokenError
from orrery.inference.channel import open_async_channel as open_async_channel
from orrery.inference.channel import open_channel as open_channel
from orrery.inference.client import InferenceClient as InferenceClient
from orrery.inference.errors import FieldViolation as FieldViolation
from orrery.inference.errors import InferenceError as InferenceError
from orrery.inference.errors import MixedVersionsError as MixedVersionsError
