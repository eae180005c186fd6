"""PaddleRec's own `models/multitask/maml`, out of a checkout, as its tools/trainer.py steps it.

First order whatever is asked for. Its network is one: 5 classes of 28 x 28 grey images, pooled.
"""

import os
import sys
from pathlib import Path

import paddle

ROOT = Path(__file__).resolve().parents[2]


def build(job, parameters, tasks):
    setting = job.setting
    here = setting.way, setting.image_side, setting.channels, setting.filters, setting.pool
    if here != (5, 28, 1, 64, True):
        sys.exit("its network is for 5 classes of 28x28x1 images, with 64 filters and pooling")
    sys.path[:0] = [os.path.join(job.checkout, "models/multitask/maml"), str(ROOT / "models/maml")]
    from dygraph_model import DygraphModel
    from paddle_maml import cpu

    cpu.tune()  # as fast as Paddle gets, like the project
    config = {
        "hyper_parameters.conv_stride": 1,
        "hyper_parameters.conv_padding": 1,
        "hyper_parameters.conv_kernal": [3, 3],
        "hyper_parameters.bn_channel": setting.filters,
        "hyper_parameters.update_step": setting.inner_steps,
        "hyper_parameters.base_optimizer.learning_rate": setting.inner_lr,
    }
    model_class = DygraphModel()
    model = model_class.create_model(config)
    optimizer = model_class.create_optimizer(model, config)
    batch = [paddle.to_tensor(array) for array in tasks]

    def step():
        optimizer.clear_grad()
        loss, _, _ = model_class.train_forward(model, [], batch, config)
        loss.backward()
        optimizer.step()

    return step
