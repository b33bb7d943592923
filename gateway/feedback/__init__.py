# SPDX-License-Identifier: GPL-3.0-or-later
"""The feedback pod: citizens' votes, kept, and what they amount to."""
