"""The stand-ins are run, not imported."""

collect_ignore = ["tools"]
