# SPDX-License-Identifier: GPL-3.0-or-later
"""Other model servers under the same load as ours: `python -m bench.peers build|measure|page`."""
