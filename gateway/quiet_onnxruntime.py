# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to onnxruntime, whose builds report to their maker unless told not to before they are loaded.

`ORT_DISABLE_TELEMETRY`: Privacy.md in onnxruntime's wheel (from 1.32 on; others do not look at it).
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

__all__ = ["onnxruntime"]
