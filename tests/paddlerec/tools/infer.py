"""Behaves like PaddleRec's tools/infer.py where a model directory can tell."""

import logging
import os

os.environ["FLAGS_enable_pir_api"] = "0"
import paddle  # before the model directory, and so before Pillow
from utils import batches, create_loader, load_model_class, printed, read_config

logging.basicConfig(level=logging.INFO)  # without effect: Paddle was first, with its own level
logger = logging.getLogger(__name__)  # of that level, as nobody sets another: WARNING in 2.6


def main():
    paddle.seed(12345)  # whatever the configuration says
    config = read_config()
    model_class = load_model_class(config)
    paddle.set_device("gpu" if config.get("runner.use_gpu", True) else "cpu")
    model = model_class.create_model(config)
    loader = create_loader(config, "test")
    metrics, names = model_class.create_metrics()  # once for all checkpoints, and never reset
    first, end = config.get("runner.infer_start_epoch", 0), config.get("runner.infer_end_epoch", 10)
    for epoch in range(first, end):
        prefix = os.path.join(config["runner.infer_load_path"], str(epoch), "rec")
        model.set_dict(paddle.load(prefix + ".pdparams"))
        model.eval()
        for number, batch in batches(loader):  # with gradients on
            metrics, tensors = model_class.infer_forward(model, metrics, batch, config)
            if number % config["runner.print_interval"] == 0:
                logger.info(
                    f"epoch: {epoch}, batch_id: {number}, {printed(metrics, names, tensors)}"
                )
        logger.info(f"epoch: {epoch} done, {printed(metrics, names, tensors)}")


if __name__ == "__main__":
    main()
