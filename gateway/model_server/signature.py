# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Predict request must match: predict_util.cc of TensorFlow Serving and GetInputValues of TensorFlow."""

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from gateway.model_server.errors import invalid
from gateway.model_server.tensors import decode

DEFAULT_SIGNATURE = "serving_default"


def input_arrays(signature: Any, inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The arrays to feed, by input alias; defaults of the signature stand in for inputs left out.

    Types are left to the session, which refuses what does not match ("Type mismatch: actual float vs. expect double").

    Args:
        signature: a SignatureDef.
        inputs: TensorProto by alias.

    Raises:
        Refusal: INVALID_ARGUMENT for missing, extra or misnamed inputs, values that do not fit their own shape, and
            shapes that the signature does not allow.
    """
    wanted, sent = set(signature.inputs), set(inputs)
    if len(sent) > len(wanted) or (len(sent) < len(wanted) and not signature.defaults):
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(wanted)} len({_braced(sent)}) != "
            f"len({_braced(wanted)}). Sent extra: {_braced(sent - wanted)}. "
            f"Missing but required: {_braced(wanted - sent)}."
        )
    arrays = {}
    for alias, info in signature.inputs.items():
        if alias not in sent and alias not in signature.defaults:
            raise invalid(
                f"Signature input alias: {alias}(feed name: {info.name}) not found in request and no default value "
                f"provided. Inputs expected to be in the request {_braced(sent)}, or default input alias set: "
                + ",".join(sorted(signature.defaults))
            )
        array = decode(inputs[alias] if alias in sent else signature.defaults[alias], alias)
        _check_shape(alias, array.shape, info.tensor_shape)
        arrays[alias] = array
    if sent - wanted:
        raise invalid(
            f"Inputs contains invalid name. Used request inputs: {','.join(sorted(sent & wanted))}, "
            f"request input: {','.join(sorted(sent))}"
        )
    return arrays


def output_aliases(signature: Any, output_filter: Iterable[str]) -> tuple[str, ...]:
    """The outputs to fetch, in order of their names: those of the filter, or all.

    Raises:
        Refusal: INVALID_ARGUMENT for an unknown output, or one named twice.
    """
    aliases: set[str] = set()
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{_braced(signature.outputs)}."
            )
        if alias in aliases:
            raise invalid(f"duplicate output tensor alias: {alias}")
        aliases.add(alias)
    return tuple(sorted(aliases or signature.outputs))


def _check_shape(alias: str, shape: tuple[int, ...], expected: Any) -> None:
    if expected.unknown_rank:
        return
    sizes = [dim.size for dim in expected.dim]
    if len(shape) != len(sizes) or any(want not in (-1, have) for have, want in zip(shape, sizes, strict=True)):
        given = ",".join(map(str, shape))
        wanted = ",".join("?" if size == -1 else str(size) for size in sizes)
        raise invalid(f"shape mismatch for input {alias}: got [{given}], signature expects [{wanted}]")


def _braced(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
