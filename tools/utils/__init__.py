"""What trainer.py and infer.py share."""
