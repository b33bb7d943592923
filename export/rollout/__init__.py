# SPDX-License-Identifier: GPL-3.0-or-later
"""From a challenger that passed its gates to the version that answers callers, and back.

Light on purpose: the way back is taken in a hurry, and must not wait for tensorflow or pandas to load.
"""
