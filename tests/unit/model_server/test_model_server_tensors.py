# SPDX-License-Identifier: GPL-3.0-or-later
"""TensorProto and arrays agree with TensorFlow's own reading, for every type and both encodings."""

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tensorflow.core.framework import tensor_pb2, types_pb2

from gateway.model_server.errors import Refusal
from gateway.model_server.tensors import decode, encode

NUMERIC = [
    *("float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("bool", "complex64", "complex128"),
]


def encoded(array, *, as_content):
    proto = tensor_pb2.TensorProto()
    encode(array, proto, as_content=as_content)
    return proto


SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
NUMBERS = st.sampled_from(NUMERIC).flatmap(lambda name: hnp.arrays(np.dtype(name), SHAPES))


@given(array=NUMBERS, as_content=st.booleans())
def test_numbers_come_back_bit_for_bit_and_tensorflow_reads_the_same(array, as_content):
    proto = encoded(array, as_content=as_content)
    back = decode(proto, "x")
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)
    np.testing.assert_array_equal(tf.make_ndarray(proto), array)


@given(array=NUMBERS)
def test_tensorflows_writing_is_read(array):
    np.testing.assert_array_equal(decode(tf.make_tensor_proto(array), "x"), array)


@pytest.mark.parametrize("as_content", [False, True])
def test_bfloat16(as_content):
    array = np.array([1.5, -2.0, np.inf], ml_dtypes.bfloat16)
    proto = encoded(array, as_content=as_content)
    assert proto.dtype == types_pb2.DT_BFLOAT16
    assert decode(proto, "x").tolist() == array.tolist()
    assert tf.make_ndarray(proto).tolist() == array.tolist()


@given(values=st.lists(st.binary(max_size=300), max_size=5), as_content=st.booleans())
def test_strings_come_back(values, as_content):
    array = np.array([*values, None], np.object_)[:-1]
    assert decode(encoded(array, as_content=as_content), "x").tolist() == values


def test_strings_in_tensor_content_are_tensorflows_own_encoding():
    # The graph writes a constant through Tensor::AsProtoTensorContent.
    with tf.Graph().as_default():
        node = tf.constant([b"synthetic", b"", b"x" * 200]).op.node_def
    proto = tensor_pb2.TensorProto()
    proto.CopyFrom(node.attr["value"].tensor)
    values = decode(proto, "x")
    assert values.tolist() == [b"synthetic", b"", b"x" * 200]
    assert encoded(values, as_content=True).tensor_content == bytes([9, 0, 0xC8, 0x01]) + b"synthetic" + b"x" * 200


def test_a_short_field_repeats_its_last_value_and_an_empty_one_is_zero():
    proto = tf.make_tensor_proto(np.zeros((2, 2), np.float32))
    proto.tensor_content = b""
    assert decode(proto, "x").tolist() == [[0.0, 0.0], [0.0, 0.0]]
    proto.float_val.extend([1.0, 2.0])
    assert decode(proto, "x").tolist() == [[1.0, 2.0], [2.0, 2.0]]


def tensor(dtype=types_pb2.DT_DOUBLE, shape=(2,), **fields):
    proto = tensor_pb2.TensorProto(dtype=dtype, **fields)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    "proto",
    [
        tensor(types_pb2.DT_INVALID),
        tensor(types_pb2.DT_RESOURCE),
        tensor(shape=(-1,)),
        tensor(shape=(2**62, 2**62)),
        tensor(shape=(2**31,)),
        tensor(tensor_content=b"\x00" * 15),
        tensor(tensor_content=b"\x00" * 17),
        tensor(double_val=[1.0, 2.0, 3.0]),
        tensor(types_pb2.DT_COMPLEX64, scomplex_val=[1.0, 2.0, 3.0]),
        tensor(types_pb2.DT_STRING, tensor_content=b"\x01"),
        tensor(types_pb2.DT_STRING, tensor_content=b"\x01\x01a"),
        tensor(types_pb2.DT_STRING, tensor_content=b"\x80"),
        tensor(types_pb2.DT_STRING, shape=(2**40,), tensor_content=b"\x00"),
    ],
)
def test_what_does_not_fit_is_refused(proto):
    with pytest.raises(Refusal, match="tensor parsing error: x"):
        decode(proto, "x")


def test_an_unknown_rank_is_refused():
    proto = tensor()
    proto.tensor_shape.unknown_rank = True
    with pytest.raises(Refusal, match="tensor parsing error: x"):
        decode(proto, "x")
