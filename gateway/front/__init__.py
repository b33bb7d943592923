# SPDX-License-Identifier: GPL-3.0-or-later
"""The thin gateway: validates, routes, and imports neither tensorflow nor rebound nor onnxruntime."""
