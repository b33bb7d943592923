# SPDX-License-Identifier: GPL-3.0-or-later
"""What each peer needs to serve the two graphs; every file runs in that peer's own environment, never in ours."""
