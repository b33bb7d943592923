# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge: Envoy before the fronts, which speaks REST, gRPC and gRPC-Web."""
