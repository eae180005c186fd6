// Collects examples and queries, has the server classify them, and shows what it says.
const element = id => document.getElementById(id);
const copy = id => element(id).content.cloneNode(true);
const model = await answer("model");
let asked = 0; // an answer to an earlier question than this is out of date
let pending;
let shown; // {classes: [name], queries: [card], probabilities: [step][query][class]}

element("model").textContent = model.title;
element("steps").closest(".steps").classList.toggle("no-steps", !model.steps);
element("steps").max = model.steps;
element("steps").value = model.default_steps;
element("steps").addEventListener("input", show);
element("add-class").addEventListener("click", () => addClass());
element("fill").addEventListener("click", fill);
element("clear").addEventListener("click", () => reset(model.classes));
makeInput(element("query-input"), addQuery);
reset(model.classes);

async function answer(path, question) {
  const sent = question && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(question),
  };
  const response = await fetch(path, sent);
  const said = await response.json().catch(() => ({ error: `the server answered ${response.status}.` }));
  if (!response.ok) throw new Error(said.error);
  return said;
}

// A field to draw in and a button to choose files; `take` gets each image as a data URL.
function makeInput(parent, take) {
  parent.append(copy("input"));
  const canvas = parent.querySelector("canvas"), pen = canvas.getContext("2d");
  let drawn;
  const wipe = () => {
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    drawn = false;
  };
  const at = event => {
    const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  };
  Object.assign(pen, { lineWidth: 9, lineCap: "round", lineJoin: "round", strokeStyle: "#000" });
  wipe();
  canvas.addEventListener("pointerdown", event => {
    canvas.setPointerCapture(event.pointerId);
    pen.beginPath();
    pen.moveTo(...at(event));
  });
  canvas.addEventListener("pointermove", event => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    pen.lineTo(...at(event));
    pen.stroke();
    drawn = true;
  });
  parent.querySelector(".wipe").addEventListener("click", wipe);
  parent.querySelector(".take").addEventListener("click", () => {
    if (!drawn) return say("draw something first.", true);
    take(canvas.toDataURL("image/png"));
    wipe();
    changed();
  });
  parent.querySelector("input[type=file]").addEventListener("change", async event => {
    for (const file of [...event.target.files]) take(await dataUrl(file));
    event.target.value = "";
    changed();
  });
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = Object.assign(new FileReader(), { onload: () => resolve(reader.result), onerror: reject });
    reader.readAsDataURL(file);
  });
}

function thumbnail(url, remove) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "thumbnail", title: "Remove" });
  button.append(Object.assign(new Image(), { src: url, alt: "an image; press to remove it" }));
  button.addEventListener("click", () => { remove(); changed(); });
  return button;
}

function addClass(name, images = []) {
  const card = copy("class").firstElementChild, thumbnails = card.querySelector(".thumbnails");
  const take = url => {
    const button = thumbnail(url, () => button.remove());
    thumbnails.append(button);
  };
  card.querySelector(".name").value = name ?? `class ${element("classes").children.length + 1}`;
  card.querySelector(".name").addEventListener("input", changed);
  card.querySelector(".remove").addEventListener("click", () => { card.remove(); changed(); });
  makeInput(card, take);
  images.forEach(take);
  element("classes").append(card);
  changed();
}

function addQuery(url) {
  const card = copy("query").firstElementChild;
  card.querySelector(".shown").append(thumbnail(url, () => card.remove()));
  element("queries").append(card);
}

function reset(classes) {
  element("classes").replaceChildren();
  element("queries").replaceChildren();
  for (let i = 0; i < classes; i++) addClass();
}

async function fill() {
  try {
    const task = await answer("task");
    reset(0);
    task.support.forEach(images => addClass(undefined, images));
    task.queries.forEach(addQuery);
    changed();
  } catch (error) { say(error.message, true); }
}

const urls = parent => [...parent.querySelectorAll("img")].map(image => image.src);

function changed() {
  const cards = [...element("classes").children];
  element("add-class").disabled = model.most_classes !== null && cards.length >= model.most_classes;
  shown = undefined;
  show();
  clearTimeout(pending);
  pending = setTimeout(ask, 200);
}

async function ask() {
  const support = [...element("classes").children].map(card => ({
    name: card.querySelector(".name").value.trim(), images: urls(card),
  })).filter(({ images }) => images.length);
  const queries = [...element("queries").children], question = ++asked;
  if (support.length < 2) return say("Give examples of two classes or more.");
  if (!queries.length) return say("Add a drawing or an image to be classified.");
  say("Adapting …");
  try {
    const { probabilities } = await answer("classify", { support: support.map(({ images }) => images), queries: queries.flatMap(urls) });
    if (question !== asked) return;
    shown = { classes: support.map(({ name }) => name), queries, probabilities };
    say("");
    show();
  } catch (error) { if (question === asked) say(error.message, true); }
}

function show() {
  const step = Number(element("steps").value);
  element("steps-shown").textContent = step;
  if (!shown) return document.querySelectorAll("#queries tbody").forEach(body => body.replaceChildren());
  const { classes, queries, probabilities } = shown;
  queries.forEach((card, q) => {
    card.querySelector("th.before").hidden = !model.steps;
    card.querySelector("th.after").textContent = model.steps ? `after ${step}` : "probability";
    const columns = { before: probabilities[0][q], after: probabilities[step][q] };
    if (!model.steps) delete columns.before;
    card.querySelector("tbody").replaceChildren(...classes.map((name, c) => {
      const row = document.createElement("tr");
      row.append(Object.assign(document.createElement("td"), { textContent: name }));
      for (const [when, shares] of Object.entries(columns)) {
        const cell = Object.assign(document.createElement("td"), { className: `share ${when}` });
        cell.textContent = `${(100 * shares[c]).toFixed(1)} %`;
        cell.style.setProperty("--share", `${100 * shares[c]}%`);
        cell.classList.toggle("likeliest", shares[c] === Math.max(...shares));
        row.append(cell);
      }
      return row;
    }));
  });
}

function say(text, wrong = false) {
  element("status").textContent = text;
  element("status").classList.toggle("error", wrong);
}
