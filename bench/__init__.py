# SPDX-License-Identifier: GPL-3.0-or-later
"""Measurements, each side by side with what it is compared to: `python -m bench`."""
