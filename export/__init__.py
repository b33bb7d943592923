# SPDX-License-Identifier: GPL-3.0-or-later
"""Offline: from catalogues of near-Earth objects to published models. Run it as `python -m export`."""
