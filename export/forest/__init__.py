# SPDX-License-Identifier: GPL-3.0-or-later
"""The Isolation Forest: its population, its fit, and the one ONNX node it is served as."""
