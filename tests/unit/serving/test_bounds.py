# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of bounds against the contract itself."""

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.serving.bounds import COUNTS, NUMBERS, REQUIRED, TEXTS
from orrery.inference import v1
from orrery.inference.v1 import (
    anomaly_service_pb2,
    feedback_service_pb2,
    orbit_pb2,
    prediction_service_pb2,
    simulation_service_pb2,
)

FILES = (orbit_pb2, prediction_service_pb2, anomaly_service_pb2, simulation_service_pb2, feedback_service_pb2)
SERVICES = [service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()]
FLOATS = {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}


def request_messages() -> dict[str, Descriptor]:
    """Every message that a request can hold, by name."""
    waiting = [method.input_type for service in SERVICES for method in service.methods]
    found: dict[str, Descriptor] = {}
    while waiting:
        message = waiting.pop()
        if message.name not in found:
            found[message.name] = message
            waiting += [field.message_type for field in message.fields if field.message_type]
    return found


MESSAGES = request_messages()


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_every_floating_point_field_of_a_request_has_bounds(name):
    floats = {field.name for field in MESSAGES[name].fields if field.type in FLOATS}
    assert floats <= NUMBERS.get(name, {}).keys()


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_every_repeated_message_of_a_request_has_a_count(name):
    repeated = {field.name for field in MESSAGES[name].fields if field.is_repeated}
    assert repeated <= COUNTS.get(name, {}).keys()


@pytest.mark.parametrize("table", [NUMBERS, COUNTS, REQUIRED, TEXTS])
def test_the_tables_name_only_what_exists(table):
    for name, fields in table.items():
        known = {*MESSAGES[name].fields_by_name.keys(), *MESSAGES[name].oneofs_by_name.keys()}
        assert set(fields) <= known


def test_columns_are_as_many_as_the_contract_says():
    assert COUNTS["OrbitColumns"]["eccentricity"] == (0, 100_000)
    assert COUNTS["PredictRequest"]["objects"] == (1, 1_000)
    assert v1.OrbitClass.Value("ORBIT_CLASS_OTHER") == 5
