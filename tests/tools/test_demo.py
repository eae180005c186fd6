"""The page, in a browser; and its server, sent what a page would not send."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
import sys
from itertools import repeat

import numpy as np
import paddle
import pytest
from conftest import CONFIG, ROOT, TINY
from demonstration import Demonstration
from paddle_maml import MAML, ProtoNet
from paddle_maml.pixel_scale import INK
from paddle_maml.settings import Settings
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from utils.demo import server

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
STEPS = 10
REFUSED = "Failed to load resource: the server responded with a status of 400 (BAD REQUEST)"
expect.set_options(timeout=60_000)
GREY = Image.new("L", (28, 28), 128)


def demo(trained, port, *options):
    """The command that serves the page of a tiny training."""
    tool = [sys.executable, str(ROOT / "tools/demo.py"), "-m", str(CONFIG), "--port", str(port)]
    return [*tool, *options, "-o", *TINY, f"runner.infer_load_path={trained}"]


@pytest.fixture(scope="module")
def address(trained):
    """Where the page of a tiny training is served."""
    command = demo(trained, port=0)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True) as it:
        try:
            printed = []
            for line in it.stdout:
                printed.append(line)
                if found := re.search(r"is shown at (http://127\.0\.0\.1:\d+)", line):
                    break
            else:
                pytest.fail("".join(printed))
            yield found[1]
        finally:
            it.terminate()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here to show the page")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def page(browser, address):
    """The page, of which the browser is to complain of nothing but refused questions."""
    page, complaints = browser.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_default_timeout(60_000)
    page.goto(address)
    yield page
    page.close()
    assert {*complaints} <= {REFUSED}


def draw(page, card):
    """Draw a stroke in the field of a card, and add it."""
    card.locator("canvas").scroll_into_view_if_needed()
    box = card.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 120, steps=5)
    page.mouse.up()
    card.get_by_role("button", name="Add drawing").click()


def shares(page, when):
    """Of each query, what the column says of each class, in percent."""
    return [
        [float(text.rstrip(" %")) for text in card.locator(f"td.{when}").all_text_contents()]
        for card in page.locator("#queries .query").all()
    ]


def move_to(page, step):
    page.locator("#steps").fill(str(step))


def test_a_task_is_classified_before_and_after_each_number_of_steps(page):
    page.get_by_role("button", name="Fill in a task").click()
    expect(page.locator("#queries td.after")).to_have_count(5 * 5)
    seen = {}
    for step in (0, 1, STEPS):
        move_to(page, step)
        expect(page.locator("#steps-shown")).to_have_text(str(step))
        expect(page.locator("#queries th.after").first).to_have_text(f"after {step}")
        seen[step] = shares(page, "after")
        np.testing.assert_allclose(np.sum(seen[step], 1), 100, atol=0.3)
    assert seen[0] == shares(page, "before")
    assert seen[0] != seen[1] != seen[STEPS]


def test_drawings_and_files_are_examples_and_queries(page, tmp_path):
    status = page.locator("#status")
    expect(status).to_have_text("Give examples of two classes or more.")
    classes = page.locator("#classes .class")
    draw(page, classes.nth(0))
    GREY.save(tmp_path / "grey.png")
    classes.nth(1).locator("input[type=file]").set_input_files([tmp_path / "grey.png"] * 2)
    expect(classes.nth(1).locator("img")).to_have_count(2)
    classes.nth(0).get_by_label("Name of the class").fill("stroke")
    expect(status).to_have_text("Add a drawing or an image to be classified.")
    draw(page, page.locator("#query-input"))
    rows = page.locator("#queries tbody tr")
    expect(rows).to_have_count(2)
    assert rows.locator("td:first-child").all_text_contents() == ["stroke", "class 2"]
    move_to(page, STEPS)
    ((stroke, grey),) = shares(page, "after")
    assert stroke > grey  # the same drawing again

    page.locator("#queries .thumbnail").click()
    expect(page.locator("#queries .query")).to_have_count(0)
    expect(status).to_have_text("Add a drawing or an image to be classified.")


def test_a_file_that_is_no_image_is_named_on_the_page(page, tmp_path):
    page.get_by_role("button", name="Fill in a task").click()
    expect(page.locator("#queries td.after")).to_have_count(25)
    (tmp_path / "no_image.png").write_text("no image")
    page.locator("#query-input input[type=file]").set_input_files(tmp_path / "no_image.png")
    expect(page.locator("#status.error")).to_contain_text("an image cannot be read")


def test_no_more_classes_than_the_network_has(page):
    add = page.get_by_role("button", name="Add a class")
    expect(add).to_be_disabled()
    page.get_by_role("button", name="Remove this class").first.click()
    expect(page.locator("#classes .class")).to_have_count(4)
    add.click()
    expect(page.locator("#classes .class")).to_have_count(5)
    expect(add).to_be_disabled()


def test_an_empty_field_is_not_taken(page):
    expect(page.locator("#status")).to_have_text("Give examples of two classes or more.")
    page.locator("#query-input").get_by_role("button", name="Add drawing").click()
    expect(page.locator("#status.error")).to_have_text("draw something first.")
    expect(page.locator("#queries .query")).to_have_count(0)


def url(image=GREY, kind="PNG"):
    file = io.BytesIO()
    image.save(file, kind)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@pytest.fixture(scope="module")
def demonstration():
    setting = Settings(n_way=3, update_step_test=2)
    paddle.seed(0)
    maml = MAML(paddle.nn.Sequential(paddle.nn.Flatten(), paddle.nn.Linear(784, 3)), inner_lr=0.1)
    return Demonstration(maml, setting, INK, "a linear network")


@pytest.fixture
def client(demonstration):
    app = server.create_app(demonstration, repeat(([[GREY]] * 3, [GREY])), {"localhost"})
    return app.test_client()


@pytest.fixture
def ask(client):
    """ask(support, queries): the answer's status and JSON."""

    def ask(support, queries):
        answer = client.post("/classify", json={"support": support, "queries": queries})
        return answer.status_code, answer.get_json()

    return ask


def test_learners_without_steps_tell_any_number_of_classes(demonstration):
    paddle.seed(0)
    net = ProtoNet(paddle.nn.Flatten())
    setting = Settings(n_way=3, algorithm="proto_net")
    comparing = Demonstration(net, setting, INK, "squared distances of pixels")
    pictures = [Image.new("L", (28, 28), value) for value in (0, 90, 170, 255)]
    ((*rows,),) = comparing.classify([[picture] for picture in pictures], pictures[2:])
    assert np.argmax(rows, 1).tolist() == [2, 3]
    assert (comparing.steps, comparing.most_classes) == (0, None)


def test_the_answer_is_that_of_the_learners(demonstration, ask):
    black, white = (Image.new("L", (28, 28), value) for value in (0, 255))
    status, said = ask([[url(black)], [url(white), url()]], [url(), url(black)])
    assert status == 200
    x = np.stack([INK.values(np.full((1, 28, 28), v, np.uint8)) for v in (0, 255, 128)])
    support = paddle.to_tensor(x), paddle.to_tensor([0, 1, 1])
    for step, probabilities in enumerate(said["probabilities"]):
        logits = demonstration.model.adapt(*support, step)(paddle.to_tensor(x[[2, 0]]))[:, :2]
        expected = paddle.nn.functional.softmax(logits).numpy()
        np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    assert step == STEPS


@pytest.mark.parametrize(
    ("support", "queries", "sentence"),
    [
        ([[url()]], [url()], "two classes"),
        ([[url()], []], [url()], "two classes"),
        ([[url()], [url()]], [], "and a query"),
        ([[url()]] * 4, [url()], "tells 3 classes apart"),
        ([[url()], [url()]], ["file:///etc/passwd"], "cannot be read"),
        ([[url()], [url()]], ["http://127.0.0.1:1/a.png"], "cannot be read"),
        ([[url()], [url()]], ["data:image/png;base64,####"], "cannot be read"),
        ([[url()], [url()]], [url()[:-60]], "cannot be read"),
        ([[url()], [url()]], [7], "cannot be read"),
        ([[url()], [url()]], [url(kind="TIFF")], "cannot be read"),
        ([[url()], [url()]], [url(Image.new("1", (6000, 6000)))], "30 million pixels"),
        ([[url()], [url()]], [url()] * 500, "more than 500 images"),
        (7, [url()], "a question is"),
        ([[url()], 7], [url()], "a question is"),
    ],
)
def test_what_is_refused(ask, support, queries, sentence):
    status, said = ask(support, queries)
    assert status == 400
    assert sentence in said["error"]


def test_too_much_is_refused_before_it_is_read(client):
    answer = client.post("/classify", data=b" " * (server.MOST_BYTES + 1))
    assert answer.status_code in (413, 415)
    answer = client.post(
        "/classify", data=b" " * (server.MOST_BYTES + 1), content_type="application/json"
    )
    assert answer.status_code == 413
    assert "use smaller ones" in answer.get_json()["error"]


def test_a_form_of_another_page_is_refused(client):
    """Such a page can send text without asking, but not JSON."""
    answer = client.post("/classify", data='{"support": [], "queries": []}')
    assert answer.status_code == 415


@pytest.mark.parametrize("host", ["elsewhere.example", "elsewhere.example:80", "localhost.example"])
def test_another_name_is_refused(client, host):
    answer = client.get("/model", headers={"Host": host})
    assert answer.status_code == 400
    assert "does not go by the name" in answer.get_json()["error"]


def test_a_server_for_others_goes_by_any_name(demonstration):
    client = server.create_app(demonstration, repeat(([[GREY]] * 3, [GREY])), None).test_client()
    assert client.get("/model", headers={"Host": "elsewhere.example"}).status_code == 200


@pytest.mark.parametrize("path", ["server.py", "../demo/server.py", "%2e%2e/config.py", "static/a"])
def test_nothing_else_is_served(client, path):
    assert client.get(f"/{path}").status_code == 404


def test_every_answer_keeps_the_page_to_itself(client):
    for path in ("/", "/page.js", "/page.css", "/model", "/task", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_port_in_use_is_refused(address, trained):
    port = address.rsplit(":", 1)[1]
    assert refused(demo(trained, port)).endswith("Address already in use: name others.")


def test_an_address_that_is_none_is_refused(trained):
    sentence = refused(demo(trained, 0, "--host", "no.such.host"))
    assert sentence.endswith("there is no such address: name others.")


def refused(command):
    """The sentence in which the tool refuses, its last."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    (*_, sentence) = done.stderr.splitlines()
    return sentence
