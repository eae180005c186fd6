"""A page to try a meta-trained model on: python tools/demo.py -m models/maml/config.yaml

Draw or upload a few examples of each class and see new drawings classified, before and after
adaptation. The best checkpoint of runner.infer_load_path is shown, and nothing is kept of what is
sent. The page is for this machine alone unless --host says otherwise.
"""

from __future__ import annotations

import argparse
import logging

import utils.before_paddle  # noqa: F401

# isort: split
from utils.errors import UserError, needing, run
from utils.model import best_model, create_loader, open_tool
from utils.progress import logger

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MISSING = 'there is no flask here, which serves the page: pip install -e ".[demo]".'


def main():
    with needing("flask", MISSING):
        from utils.demo.server import MOST_BYTES, create_app
    with needing("waitress", MISSING.replace("flask", "waitress")):
        import waitress
    arguments, config, model_class = open_tool(__doc__, add_options)
    if not hasattr(model_class, "demonstration"):
        raise UserError(
            f"{config['model_dir']}/dygraph_model.py has no demonstration(): it is for the models "
            "of this project."
        )
    model, found = best_model(model_class, config)
    demonstration = model_class.demonstration(model, config)
    names = set(LOOPBACK)
    if arguments.host not in LOOPBACK:
        logger.warning(f"--host {arguments.host}: whoever reaches it can use the page")
        names = None
    app = create_app(demonstration, tasks(demonstration, config), names)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    try:  # in one thread, as one question takes all cores
        server = waitress.create_server(
            app,
            host=arguments.host,
            port=arguments.port,
            threads=1,
            max_request_body_size=2 * MOST_BYTES,  # up to there the page is told what is wrong
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "there is no such address"
        raise UserError(
            f"--host {arguments.host} --port {arguments.port}: {reason}: name others."
        ) from error
    address = f"http://{arguments.host}:{server.effective_port}"
    logger.info(f"{found} is shown at {address} until Ctrl-C")
    server.run()


def tasks(demonstration, config):
    """Tasks of the test set without end: support images by class, and a query of each."""
    while True:
        for batch in create_loader(config, "test"):
            for task in zip(*(part.numpy() for part in batch)):
                support_x, support_y, query_x, query_y = task
                support, queries = (
                    [demonstration.pictures(x[y == c]) for c in range(demonstration.classes)]
                    for x, y in ((support_x, support_y), (query_x, query_y))
                )
                yield support, [images[0] for images in queries]


def port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**16:
        raise argparse.ArgumentTypeError(f"{number} is not from 0 to 65535")
    return number


def add_options(parser):
    parser.add_argument("--port", type=port, default=8000, help="8000 if not given; 0: a free one")
    parser.add_argument("--host", default="127.0.0.1", help="127.0.0.1 if not given")


if __name__ == "__main__":
    run(main)
