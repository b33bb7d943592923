# SPDX-License-Identifier: GPL-3.0-or-later
"""The refusals of a model server: canonical codes with TensorFlow Serving's wording."""

from google.rpc import code_pb2, status_pb2

from gateway.serving.errors import BackendRefusal

# grpc_status_util.cc of TensorFlow Serving: longer messages are cut, so that they fit into HTTP/2 trailers.
MESSAGE_LIMIT = 1024


class Refusal(BackendRefusal):
    """A canonical code (google.rpc.Code and tensorflow.error.Code share the numbers) and a message."""

    def __init__(self, code: code_pb2.Code.ValueType, message: str) -> None:
        if len(message) > MESSAGE_LIMIT:
            message = message[:MESSAGE_LIMIT] + "...TRUNCATED"
        super().__init__(status_pb2.Status(code=code, message=message))

    @property
    def code(self) -> int:
        """The number of google.rpc.Code."""
        return int(self.status.code)


def invalid(message: str) -> Refusal:
    """INVALID_ARGUMENT: the caller's fault, whatever the server's state."""
    return Refusal(code_pb2.INVALID_ARGUMENT, message)


def not_found(message: str) -> Refusal:
    """NOT_FOUND: no such model, version or file."""
    return Refusal(code_pb2.NOT_FOUND, message)


def failed_precondition(message: str) -> Refusal:
    """FAILED_PRECONDITION: not in the server's present state."""
    return Refusal(code_pb2.FAILED_PRECONDITION, message)


def data_loss(message: str) -> Refusal:
    """DATA_LOSS: files that are not what they were published as."""
    return Refusal(code_pb2.DATA_LOSS, message)
