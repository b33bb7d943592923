# SPDX-License-Identifier: Apache-2.0
"""Client of Orrery Inference: `v1` holds the contract's messages, `InferenceClient` asks."""

from orrery.inference.channel import SERVICE_CONFIG as SERVICE_CONFIG
from orrery.inference.channel import open_channel as open_channel
from orrery.inference.client import InferenceClient as InferenceClient
from orrery.inference.errors import FieldViolation as FieldViolation
from orrery.inference.errors import InferenceError as InferenceError
