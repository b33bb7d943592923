# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulation pod: distances between orbits, and what would happen if an object were another."""
