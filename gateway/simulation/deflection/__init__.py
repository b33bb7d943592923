# SPDX-License-Identifier: GPL-3.0-or-later
"""Deflections: what a push does to an encounter, and the smallest one that clears the body.

The way of a request: `decode` reads the question, `estimate` runs its jobs through the workers and streams what
`encode` makes of their answers. In the workers, `encounter` finds what is to be moved, `pushes` moves it, and
`least_push` searches for the smallest push. Velocities are those of the orbital frame: radial, transverse, normal.
"""
