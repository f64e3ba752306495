"""HTTP as all services speak it: one server skeleton, one client."""
