"""Random schedules of changes, faults, restarts and kills over real processes, judged by one invariant."""
