"""Behaves like PaddleRec's tools/trainer.py where a model directory can tell."""

import logging
import os

os.environ["FLAGS_enable_pir_api"] = "0"
import paddle  # before the model directory, and so before Pillow
from utils import batches, create_loader, load_model_class, printed, read_config

logging.basicConfig(level=logging.INFO)  # without effect: Paddle was first, with its own level
logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)


def main():
    config = read_config()
    model_class = load_model_class(config)
    paddle.seed(config.get("runner.seed", 12345))  # numpy's and Python's own stay unseeded
    paddle.set_device("gpu" if config.get("runner.use_gpu", True) else "cpu")
    model = model_class.create_model(config)
    optimizer = model_class.create_optimizer(model, config)
    use_fleet = config.get("runner.use_fleet", False)
    if use_fleet:  # only now, when model and optimizer are there already
        from paddle.distributed import fleet

        fleet.init(is_collective=True, strategy=fleet.DistributedStrategy())
        optimizer = fleet.distributed_optimizer(optimizer)
        model = fleet.distributed_model(model)
    loader = create_loader(config, "train")
    for epoch in range(config["runner.epochs"]):
        model.train()
        metrics, names = model_class.create_metrics()
        for number, batch in batches(loader):  # nobody tells the reader the epoch
            optimizer.clear_grad()
            loss, metrics, tensors = model_class.train_forward(model, metrics, batch, config)
            loss.backward()
            optimizer.step()  # and nobody steps a learning-rate schedule
            if number % config["runner.print_interval"] == 0:
                logger.info(
                    f"epoch: {epoch}, batch_id: {number}, {printed(metrics, names, tensors)}"
                )
        logger.info(f"epoch: {epoch} done, {printed(metrics, names, tensors)}")
        if not use_fleet or paddle.distributed.get_rank() == 0:
            # Data lie relative to the configuration, checkpoints to where one stands.
            prefix = os.path.join(config["runner.model_save_path"], str(epoch), "rec")
            paddle.save(model.state_dict(), prefix + ".pdparams")
            paddle.save(optimizer.state_dict(), prefix + ".pdopt")


if __name__ == "__main__":
    main()
