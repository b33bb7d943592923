# SPDX-License-Identifier: GPL-3.0-or-later
"""The anomaly pod: how unusual is an orbit, and why."""
