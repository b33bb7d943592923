# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is new since the last run to a challenger that has passed its gates; nothing here deploys anything."""
