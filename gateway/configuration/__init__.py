# SPDX-License-Identifier: GPL-3.0-or-later
"""All settings of all pods: listed, documented, and no others allowed."""
