# SPDX-License-Identifier: GPL-3.0-or-later
"""What running pods have counted, from their metrics pages: bins against the reference of the version they serve."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import httpx
import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from export.errors import ExportError
from gateway.drift import Reference, Verdict, judge

_BINS: Final = "orrery_drift_bin_objects"
_TIMEOUT_S: Final = 10.0

Counts = dict[str, list[NDArray[np.int64]]]


class MetricsError(ExportError):
    """A metrics page cannot be had or makes no sense."""


def read(addresses: Iterable[str]) -> str:
    """The pages, end to end.

    Args:
        addresses: "http://127.0.0.1:9101/metrics".

    Raises:
        MetricsError: one cannot be had.
    """
    pages = []
    for address in addresses:
        try:
            reply = httpx.get(address, timeout=_TIMEOUT_S)
            reply.raise_for_status()
        except httpx.HTTPError as error:
            raise MetricsError(f"{address}: {error}") from error
        pages.append(reply.text)
    return "\n".join(pages)


def counts(page: str, model: str, reference: Reference) -> Counts:
    """By window, the counts of each feature's bins, added up over all pods.

    Raises:
        MetricsError: the bins are not the reference's: another version is being served.
    """
    found: defaultdict[str, dict[tuple[str, int], int]] = defaultdict(lambda: defaultdict(int))
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels: Mapping[str, str] = sample.labels
            if sample.name == _BINS and labels["model"] == model:
                found[labels["window"]][labels["feature"], int(labels["bin"])] += int(sample.value)
    bins = {name: range(len(known)) for name, known in zip(reference.names, reference.counts, strict=True)}
    wanted = {(name, number) for name, numbers in bins.items() for number in numbers}
    result: Counts = {}
    for window, by_bin in found.items():
        if set(by_bin) != wanted:
            raise MetricsError(f"the pods' bins of {model} are not those of the published version")
        result[window] = [np.array([by_bin[name, number] for number in bins[name]], np.int64) for name in bins]
    return result


def verdicts(page: str, model: str, manifest: Mapping[str, Any]) -> dict[str, tuple[int, list[Verdict]]]:
    """By window, how many objects and what is to be said of each feature; empty where the pods say nothing.

    Args:
        page: from `read`.
        model: its name.
        manifest: of the version that serves.

    Raises:
        MetricsError: see `counts`.
    """
    if "drift_reference" not in manifest:
        return {}
    reference = Reference.from_json(manifest["drift_reference"])
    return {
        window: (int(of_window[0].sum()), judge(reference, of_window))
        for window, of_window in counts(page, model, reference).items()
    }
