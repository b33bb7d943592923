# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to matplotlib: figures into files, no window."""

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["Axes", "Figure", "plt"]
