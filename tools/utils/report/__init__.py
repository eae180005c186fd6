"""What `tools/report.py` is made of: a run as it is read, its plots and its page."""
