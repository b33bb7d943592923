# SPDX-License-Identifier: GPL-3.0-or-later
"""From a trained candidate to a published version: folders, checksums, gates."""
