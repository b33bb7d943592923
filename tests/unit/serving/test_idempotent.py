# SPDX-License-Identifier: GPL-3.0-or-later
"""What channels between pods call again."""

from google.protobuf import descriptor_pb2, descriptor_pool

from gateway.serving.idempotent import IDEMPOTENT, idempotent_of
from gateway.serving.roles import METHOD_ROLES

PREFIX = "/orrery.inference.v1."


def test_every_method_of_the_contract_says_that_it_is():
    # Whoever adds a method that is not leaves its option out, and takes it out here.
    of_the_contract = {method for method in METHOD_ROLES if method.startswith(PREFIX)}
    assert len(of_the_contract) > 10
    assert {method for method in IDEMPOTENT if method.startswith(PREFIX)} == of_the_contract


def test_a_method_without_the_option_is_not():
    file = descriptor_pb2.FileDescriptorProto(name="test.proto", package="test", syntax="proto3")
    file.message_type.add(name="Nothing")
    service = file.service.add(name="Test")
    for name in ("Unknown", "Reads", "Keeps"):
        service.method.add(name=name, input_type=".test.Nothing", output_type=".test.Nothing")
    service.method[1].options.idempotency_level = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    service.method[2].options.idempotency_level = descriptor_pb2.MethodOptions.IDEMPOTENT
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    assert idempotent_of([pool.FindFileByName("test.proto")]) == {"/test.Test/Reads", "/test.Test/Keeps"}
