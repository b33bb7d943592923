# SPDX-License-Identifier: GPL-3.0-or-later
"""How probable an impact is: from an orbit with its uncertainty to a probability with its own.

A request's way: `decode` makes a `Question`, `estimate` asks the workers for jobs (`first_look`, `search`, `blocks`,
`describe`) and reduces what they bring, `encode` writes the contract's messages.
"""
