"""Runs a console entry point as it is, but for the floor of POLLING_INTERVAL: tests have no five seconds to wait.

usage: python impatient.py PROGRAM [ARGUMENT...], which is put before the program's command line.
"""

import functools
import runpy
import sys

from services.normalizer import service

service.run = functools.partial(service.run, polling_floor=0.05)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
