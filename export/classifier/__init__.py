# SPDX-License-Identifier: GPL-3.0-or-later
"""The network: its features, its training, its compression, and the SavedModel it is served as."""
