# SPDX-License-Identifier: GPL-3.0-or-later
"""A stated probability that is the frequency: one temperature for the hazard's logit.

Source: Guo et al. 2017, ICML (arXiv:1706.04599), section 4.2: the temperature of the smallest log loss.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from export.errors import ExportError

_LARGEST_LOG_TEMPERATURE: Final = 3.0


class CalibrationError(ExportError):
    """Nothing to calibrate on."""


def log_loss(truth: NDArray[np.bool_], logit: NDArray[np.floating[Any]]) -> float:
    """Mean negative log-likelihood of the truth, in nats; finite for every finite logit."""
    signed = np.where(truth, logit, -logit).astype(np.float64)
    return float(np.logaddexp(0.0, -signed).mean())


def temperature(truth: NDArray[np.bool_], logit: NDArray[np.floating[Any]]) -> float:
    """What to divide the logits by; 1 where they are calibrated, above 1 where they are too sure.

    1 also where no object is on the wrong side: then the surest would always be best, and nothing is measured.

    Args:
        truth: shape (N,).
        logit: shape (N,).

    Raises:
        CalibrationError: the truth is of one kind.
    """
    if truth.all() or not truth.any():
        raise CalibrationError("a temperature needs objects of both kinds")
    if logit[truth].min() > logit[~truth].max():
        return 1.0
    found = minimize_scalar(
        lambda log_temperature: log_loss(truth, logit / np.exp(log_temperature)),
        bounds=(-_LARGEST_LOG_TEMPERATURE, _LARGEST_LOG_TEMPERATURE),
        method="bounded",
    )
    return float(np.exp(found.x))
