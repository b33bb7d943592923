# SPDX-License-Identifier: GPL-3.0-or-later
"""How older stores become as `gateway.feedback.store.schema` has them; run by `gateway.feedback.store.migrating`."""
