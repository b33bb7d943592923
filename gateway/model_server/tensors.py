# SPDX-License-Identifier: GPL-3.0-or-later
"""TensorProto to numpy and back, by the rules of Tensor::FromProto and Tensor::AsProto* (tensor.cc of TensorFlow).

Not `tf.make_ndarray`: it walks typed fields value by value, fails in half a dozen ways on what a stranger may send,
and cannot read strings in tensor_content.
"""

import math
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from tensorflow.core.framework import types_pb2

from gateway.model_server.errors import invalid
from gateway.serving.tensor_strings import decode_strings, encode_strings

# A few bytes may claim any shape; what they would unfold to is bounded by gRPC's own message limit.
MAX_TENSOR_BYTES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _Encoding:
    dtype: np.dtype[Any]
    field: str
    # How the typed field holds the values: halves as bits, complex numbers as pairs.
    stored: np.dtype[Any] | None = None


_ENCODINGS: dict[int, _Encoding] = {
    types_pb2.DT_FLOAT: _Encoding(np.dtype(np.float32), "float_val"),
    types_pb2.DT_DOUBLE: _Encoding(np.dtype(np.float64), "double_val"),
    types_pb2.DT_INT32: _Encoding(np.dtype(np.int32), "int_val"),
    types_pb2.DT_UINT8: _Encoding(np.dtype(np.uint8), "int_val"),
    types_pb2.DT_INT16: _Encoding(np.dtype(np.int16), "int_val"),
    types_pb2.DT_UINT16: _Encoding(np.dtype(np.uint16), "int_val"),
    types_pb2.DT_INT8: _Encoding(np.dtype(np.int8), "int_val"),
    types_pb2.DT_INT64: _Encoding(np.dtype(np.int64), "int64_val"),
    types_pb2.DT_UINT32: _Encoding(np.dtype(np.uint32), "uint32_val"),
    types_pb2.DT_UINT64: _Encoding(np.dtype(np.uint64), "uint64_val"),
    types_pb2.DT_BOOL: _Encoding(np.dtype(np.bool_), "bool_val"),
    types_pb2.DT_STRING: _Encoding(np.dtype(np.object_), "string_val"),
    types_pb2.DT_HALF: _Encoding(np.dtype(np.float16), "half_val", np.dtype(np.uint16)),
    types_pb2.DT_BFLOAT16: _Encoding(np.dtype(ml_dtypes.bfloat16), "half_val", np.dtype(np.uint16)),
    types_pb2.DT_COMPLEX64: _Encoding(np.dtype(np.complex64), "scomplex_val", np.dtype(np.float32)),
    types_pb2.DT_COMPLEX128: _Encoding(np.dtype(np.complex128), "dcomplex_val", np.dtype(np.float64)),
}
_DATA_TYPES = {encoding.dtype: data_type for data_type, encoding in _ENCODINGS.items()}


def decode(proto: Any, alias: str) -> NDArray[Any]:
    """The array of a TensorProto, from tensor_content or from its typed field.

    A typed field with fewer values than the shape repeats its last one (zeros when it is empty); NaN and infinities
    pass, as in TensorFlow Serving.

    Args:
        proto: the TensorProto.
        alias: its name in the signature, for the error.

    Raises:
        Refusal: INVALID_ARGUMENT when type, shape and values do not fit together.
    """
    encoding = _ENCODINGS.get(proto.dtype)
    shape = tuple(int(dim.size) for dim in proto.tensor_shape.dim)
    if encoding is None or proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise invalid(f"tensor parsing error: {alias}")
    count = math.prod(shape)
    if count * encoding.dtype.itemsize > MAX_TENSOR_BYTES:
        raise invalid(f"tensor parsing error: {alias} would have {count} values")
    if not proto.tensor_content:
        return _from_field(proto, encoding, count, alias).reshape(shape)
    if encoding.dtype.hasobject:
        return _strings(proto.tensor_content, count, alias).reshape(shape)
    if len(proto.tensor_content) != count * encoding.dtype.itemsize:
        raise invalid(f"tensor parsing error: {alias}")
    return np.frombuffer(proto.tensor_content, encoding.dtype).reshape(shape)


def encode(array: NDArray[Any], proto: Any, *, as_content: bool) -> None:
    """Write an array into a TensorProto.

    Args:
        array: numbers, booleans, or bytes as objects.
        proto: an empty TensorProto.
        as_content: values packed into tensor_content; otherwise into the typed field, TensorFlow Serving's default.
    """
    data_type = _DATA_TYPES[array.dtype]
    encoding = _ENCODINGS[data_type]
    proto.dtype = data_type
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    flat = np.ascontiguousarray(array).reshape(-1)
    if as_content:
        proto.tensor_content = encode_strings(flat.tolist()) if encoding.dtype.hasobject else flat.tobytes()
    else:
        stored = flat if encoding.stored is None else flat.view(encoding.stored)
        getattr(proto, encoding.field).extend(stored.tolist())


def _from_field(proto: Any, encoding: _Encoding, count: int, alias: str) -> NDArray[Any]:
    field = getattr(proto, encoding.field)
    try:
        values = np.array(field, encoding.stored or encoding.dtype)
        if encoding.stored is not None:
            values = values.view(encoding.dtype)
    except (OverflowError, ValueError) as error:
        raise invalid(f"tensor parsing error: {alias}") from error
    if values.size > count:
        raise invalid(f"tensor parsing error: {alias} has {values.size} values for a shape of {count}")
    if values.size == count:
        return values
    if encoding.dtype.hasobject:
        last: Any = values[-1] if values.size else b""
    else:
        last = values[-1] if values.size else encoding.dtype.type(0)
    filled = np.full(count, last, encoding.dtype)
    filled[: values.size] = values
    return filled


def _strings(content: bytes, count: int, alias: str) -> NDArray[Any]:
    try:
        return np.array(decode_strings(content, count), np.object_)
    except ValueError as error:
        raise invalid(f"tensor parsing error: {alias} has {error}") from None
