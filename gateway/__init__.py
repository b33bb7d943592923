# SPDX-License-Identifier: GPL-3.0-or-later
"""The online side: a thin gateway and the pods behind it. Floors: pods, then `serving`, then `neo`."""
