"""Runs the whole connector in one process, on a network in memory and on simulated time: an hour takes a second."""
