# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings published models to the pods that serve them: `python -m gateway deliver`."""
