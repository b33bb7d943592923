# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalogues: where they come from, how they are read and cleaned, and the data sets made of them."""
