# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeing inside: the Grafana dashboard, and a Prometheus on this machine that answers the same questions."""
