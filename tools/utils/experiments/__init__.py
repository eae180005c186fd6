"""A list of experiments: read, carried out, and shown as tables and curves."""
