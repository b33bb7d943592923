# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded stand-in for TensorFlow Serving, for laptops and tests.

It reads the same models.config, loads the same SavedModels and speaks the same protocol as `tensorflow_model_server`,
through the stubs of tensorflow-serving-api. Production runs the real one; serving_config/README.md lists where the two
differ.
"""
