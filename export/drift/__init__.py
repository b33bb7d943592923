# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of drift: of the catalogue against what the models learnt from, and of what running pods have seen."""
