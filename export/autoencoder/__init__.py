# SPDX-License-Identifier: GPL-3.0-or-later
"""The autoencoder: an optional second opinion on how unusual an orbit is, and its comparison with the forest."""
