# SPDX-License-Identifier: GPL-3.0-or-later
"""Files the gateway carries or reads that are made here: Earth, asteroids, TensorFlow Serving's protocol."""
