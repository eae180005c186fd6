"""The page's server: it bounds what is sent to it, and runs nothing from it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, jsonify, request, send_from_directory
from PIL import Image
from werkzeug.exceptions import HTTPException

HERE = Path(__file__).parent
MOST_BYTES = 32 * 2**20  # of a question
MOST_IMAGES = 500
MOST_PIXELS = 30e6  # of an image
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
# What Pillow raises, depending on the format, for a file that is damaged or no image at all.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """A question that is not answered; the page shows the message."""


def create_app(demonstration, tasks: Iterator, names: set[str] | None) -> Flask:
    """The application.

    Parameters
    ----------
    demonstration : object
        What is shown, as a model directory's `demonstration` makes it.
    tasks : iterator
        Tasks to begin with: a list of support images per class, and queries.
    names : set of str, optional
        Those that the server goes by; any, if None. Of one for this machine alone, a page from
        elsewhere could otherwise ask under a name of its own that it has point here.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES

    @app.before_request
    def called_by_its_name():
        if names is not None and urlsplit(f"//{request.host}").hostname not in names:
            raise Refused(f"this server does not go by the name of {request.host}.")

    @app.after_request
    def guarded(response):
        response.headers.update(HEADERS)
        return response

    @app.errorhandler(Refused)
    def refused(error):
        return jsonify(error=str(error)), 400

    @app.errorhandler(HTTPException)
    def unanswered(error):
        too_much = f"the images are more than {MOST_BYTES >> 20} MiB together: use smaller ones."
        return jsonify(error=too_much if error.code == 413 else error.description), error.code

    @app.get("/")
    def page():
        return send_from_directory(HERE, "page.html")

    @app.get("/<any('page.css', 'page.js'):name>")
    def part(name):
        return send_from_directory(HERE, name)

    @app.get("/model")
    def about():
        told = ("title", "classes", "most_classes", "steps", "default_steps")
        return jsonify({name: getattr(demonstration, name) for name in told})

    @app.get("/task")
    def task():
        support, queries = next(tasks)
        support = [list(map(data_url, images)) for images in support]
        return jsonify(support=support, queries=list(map(data_url, queries)))

    @app.post("/classify")
    def classify():
        support, queries = read_question(request.get_json())
        most = demonstration.most_classes
        if most is not None and len(support) > most:
            raise Refused(f"the network tells {most} classes apart: give no more of them.")
        return jsonify(probabilities=demonstration.classify(support, queries).tolist())

    return app


def read_question(question) -> tuple[list[list[Image.Image]], list[Image.Image]]:
    """Support images per class and queries of what the page sent.

    Raises
    ------
    Refused
        If it has another form than the page's, too many images, or one that cannot be read.
    """
    try:
        support = [list(images) for images in question["support"]]
        queries = list(question["queries"])
    except (TypeError, KeyError) as error:
        raise Refused("a question is {support: [[URL]], queries: [URL]}.") from error
    if len(support) < 2 or not all(support) or not queries:
        raise Refused("there have to be two classes with an image each, and a query.")
    if sum(map(len, support)) + len(queries) > MOST_IMAGES:
        raise Refused(f"there are more than {MOST_IMAGES} images: give fewer.")
    return [list(map(read_image, images)) for images in support], list(map(read_image, queries))


def read_image(url) -> Image.Image:
    """The image in a data URL."""
    try:
        head, _, data = url.partition(";base64,")
        if not head.startswith("data:image/"):
            raise ValueError("not a data URL of an image")
        image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)), formats=FORMATS)
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"it has more than {MOST_PIXELS // 1e6:.0f} million pixels")
        image.load()
        return image
    except (AttributeError, *UNREADABLE) as error:
        raise Refused(f"an image cannot be read ({error}): use another.") from error


def data_url(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
