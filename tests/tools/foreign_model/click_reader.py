"""Whether an item was clicked, from lines `item,label`."""

import os

import numpy as np
from paddle.io import IterableDataset


class RecDataset(IterableDataset):
    def __init__(self, file_list, config):
        super().__init__()
        self.file_list = file_list
        weights = os.path.join(config["config_abs_dir"], config["runner.item_weight_path"])
        with open(weights) as file:
            self.weights = [float(line) for line in file]

    def __iter__(self):
        for name in self.file_list:
            with open(name) as file:
                for line in file:
                    item, label = map(int, line.split(","))
                    weight = np.float32([self.weights[item]])
                    yield [np.int64([label]), np.int64([item]), weight]
