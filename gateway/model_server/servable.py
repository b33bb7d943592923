# SPDX-License-Identifier: GPL-3.0-or-later
"""One loaded SavedModel. The only module that runs TensorFlow.

A SavedModel is loaded into a TF1 session on purpose: `tensorflow_model_server` does the same (a DirectSession behind
SavedModelBundle), so the graphs that load, the answers and the refusals are its own. It is also quicker than the
functions of tf.saved_model.load: 45 us against 370 us for one row of a 12-64-32 network.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog
import tensorflow as tf
from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from numpy.typing import NDArray
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import prediction_log_pb2

from gateway.model_server.errors import Refusal, data_loss, failed_precondition, invalid, not_found
from gateway.model_server.signature import DEFAULT_SIGNATURE, input_arrays, output_aliases

WARM_UP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
# WarmupConsts::kMaxNumRecords of saved_model_warmup_util.h
MAX_WARM_UP_RECORDS = 1000

log = structlog.get_logger()


class SavedModel:
    """A SavedModel in its session; thread-safe until it is closed."""

    def __init__(self, folder: Path, intra_op_threads: int, inter_op_threads: int) -> None:
        """Load it and replay its warm-up records.

        Args:
            folder: the version folder.
            intra_op_threads: threads for one operation (the first model of a process decides for all).
            inter_op_threads: threads for the operations of one call; -1 uses the caller's thread.

        Raises:
            Refusal: it cannot be loaded, or a warm-up record fails.
        """
        config = config_pb2.ConfigProto(
            intra_op_parallelism_threads=intra_op_threads,
            inter_op_parallelism_threads=inter_op_threads,
            device_count={"GPU": 0},
        )
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        self._callables: dict[tuple[str, tuple[str, ...]], Callable[..., list[Any]]] = {}
        self._callables_lock = threading.Lock()
        try:
            meta_graph = _load(self._session, folder)
            self.signatures: dict[str, Any] = dict(meta_graph.signature_def)
            self._warm_up(folder)
        except Refusal:
            self.close()
            raise

    def predict(
        self, signature_name: str, inputs: Mapping[str, Any], output_filter: Iterable[str] = ()
    ) -> tuple[str, dict[str, NDArray[Any]]]:
        """Run one signature.

        Args:
            signature_name: empty for the default signature.
            inputs: TensorProto by input alias.
            output_filter: the outputs wanted; all when empty.

        Returns:
            The name of the signature that ran, and its outputs by alias.

        Raises:
            Refusal: INVALID_ARGUMENT for inputs that do not match, FAILED_PRECONDITION for an unknown signature, or
                the canonical code of whatever the graph itself refuses.
        """
        name = signature_name or DEFAULT_SIGNATURE
        signature = self.signatures.get(name)
        if signature is None:
            raise failed_precondition(f'Serving signature key "{name}" not found.')
        arrays = input_arrays(signature, inputs)
        aliases = output_aliases(signature, output_filter)
        try:
            outputs = self._callable(name, aliases)(*(arrays[alias] for alias in sorted(arrays)))
        except tf.errors.OpError as error:
            raise _refusal(error) from error
        return name, dict(zip(aliases, outputs, strict=True))

    def close(self) -> None:
        """Free the session; no call may be running."""
        self._callables.clear()
        self._session.close()

    def _callable(self, name: str, aliases: tuple[str, ...]) -> Callable[..., list[Any]]:
        key = (name, aliases)
        with self._callables_lock:
            found = self._callables.get(key)
            if found is None:
                signature = self.signatures[name]
                options = config_pb2.CallableOptions(
                    feed=[signature.inputs[alias].name for alias in sorted(signature.inputs)],
                    fetch=[signature.outputs[alias].name for alias in aliases],
                )
                # The public run() costs 300 us a call on top of the graph's own 45 us, and casts inputs silently.
                found = self._session._make_callable_from_options(options)  # noqa: SLF001  # no public way exists
                self._callables[key] = found
            return found

    def _warm_up(self, folder: Path) -> None:
        for request in _warm_up_requests(folder / WARM_UP_FILE):
            self.predict(request.model_spec.signature_name, request.inputs, request.output_filter)


def _load(session: Any, folder: Path) -> Any:
    try:
        return tf.compat.v1.saved_model.loader.load(session, [tf.saved_model.SERVING], str(folder))
    except tf.errors.OpError as error:
        raise _refusal(error) from error
    except RuntimeError as error:
        raise not_found(f"no graph with the tag {tf.saved_model.SERVING!r} in {folder}: {error}") from error
    except OSError as error:
        raise data_loss(f"{folder} cannot be read: {error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise invalid(f"{folder} does not load: {error}") from error


def _warm_up_requests(path: Path) -> Iterator[Any]:
    """The Predict requests of a TFRecord file of PredictionLog; none without the file.

    Raises:
        Refusal: INVALID_ARGUMENT when the file is not that, or has more than 1000 records.
    """
    if not path.is_file():
        return
    try:
        for count, record in enumerate(tf.compat.v1.io.tf_record_iterator(str(path)), start=1):
            if count > MAX_WARM_UP_RECORDS:
                raise invalid(f"Number of warmup records exceeds the maximum ({MAX_WARM_UP_RECORDS}) at {path}")
            entry = prediction_log_pb2.PredictionLog.FromString(record)
            if entry.WhichOneof("log_type") == "predict_log":
                yield entry.predict_log.request
            else:
                log.warning("warm-up record skipped: only Predict is served", path=str(path), record=count)
    except (tf.errors.OpError, DecodeError) as error:
        raise invalid(f"Failed to parse warmup record from {path}: {error}") from error


def _refusal(error: Any) -> Refusal:
    # The lines after the first name nodes of the graph; TensorFlow's codes are google.rpc.Code's numbers.
    return Refusal(error.error_code or code_pb2.INTERNAL, error.message.split("\n")[0])
