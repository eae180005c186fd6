# Download Omniglot, check it and convert it to data/train, data/val and data/test.
PYTHONPATH=../../models/multitask/maml_so python prepare.py
