# SPDX-License-Identifier: BSD-3-Clause
"""What the system tests stand on; conftest.py says how to use it."""
