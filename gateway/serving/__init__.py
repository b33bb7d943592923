# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 1: what every pod shares. It knows the contract and gRPC; it knows no pod."""
