# SPDX-License-Identifier: GPL-3.0-or-later
"""All pods and the edge on this machine, as processes of their own."""

from gateway.up.system import running_pods as running_pods
