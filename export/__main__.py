# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m export`."""

import sys

from export.cli import main

sys.exit(main())
