// The page to work in: films, their facts, the job, the result. All state that matters lies on the server.
import { Bones, floats } from "/static/bones.js";
import { addBox, addLandmarks, addOutlines, film, lightOutlines, project, showLines, showSpot } from "/static/film.js";

const $ = (id) => document.getElementById(id);
const STEPS = {
  "": "starting", read: "reading the films", "load model": "loading the networks", locate: "finding the wrist",
  scale: "finding the scale", cut: "cutting the film out", translate: "translating it to bone alone",
  predict: "predicting the bones", stand: "finding where the wrist stands", reconsider: "weighing other readings",
  fit: "fitting the bones to the films", place: "placing each bone", measure: "measuring", judge: "judging the result", suggest: "trying what else the film may be",
  save: "writing the files",
};
const KINDS = { recorded: "recorded", option: "you said", assumed: "assumed", inferred: "read from the picture",
  "from rays": "from the cameras", missing: "missing",
  later: "read from the picture" };
const VERDICTS = {
  "no objection": "No serious doubt was found; look at the outlines all the same.",
  doubtful: "Doubtful: read the remarks and look at the outlines before anything else.",
  "not usable": "Do not use this result.",
};
const VIEWS = { pa: "PA", lateral: "lateral" };

let desk = null, wrist = null, view = null, bones = null, shown = [], chosen = null, marked = null, timer = null;
let sending = 0, sent = Promise.resolve();
const names = new Map(); // film number -> name of the file, which never leaves this page
const comparisons = {};

function element(kind, attributes = {}, ...children) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

async function ask(method, path, body, raw = false) {
  const headers = { "X-Bonelift": "1" };
  if (body !== undefined && !raw) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined || raw ? body : JSON.stringify(body) });
  } catch {
    throw new Error("the server does not answer; is bonelift serve still running?");
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(content.message || `the server answered ${answer.status}`), { status: answer.status });
  return content;
}

function say(problem) {
  $("problem").textContent = problem || "";
  $("problem").hidden = !problem;
}

async function guarded(work) {
  say("");
  try {
    return await work();
  } catch (error) {
    say(sentence(error.message));
    return undefined;
  }
}

// Begins with a capital, unless it begins with the name of a file.
const sentence = (text) => named(/^[a-z]+[ ,;]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text);

// "film 1" is what the server calls a file; here it has its own name.
function named(text) {
  return text.replace(/film (\d+)/gi, (whole, number) => names.get(Number(number)) || whole);
}

const base = () => `/api/wrists/${wrist.name}`;
const titleOf = (entry) => names.get(entry.number) || `Film ${entry.number}`;

// --- films ---------------------------------------------------------------------------------------------------------

// A wrist on which nothing was put gives way after a while; then there is a new one.
async function upload(file) {
  try {
    return await ask("POST", `${base()}/films`, file, true);
  } catch (error) {
    if (error.status !== 404 || wrist.films.length) throw error;
    await open(await ask("POST", "/api/wrists"));
    return ask("POST", `${base()}/films`, file, true);
  }
}

async function take(files) {
  if (!files.length) return;
  const room = 2 - (wrist ? wrist.films.length : 0);
  if (files.length > 2) return say(`${files.length} files were dropped; this page takes one or two films of one wrist. For many films there is: bonelift reconstruct --on FOLDER.`);
  if (files.length > room) return say("There are two films of this wrist already; take one away first, or begin with another wrist.");
  await guarded(async () => {
    if (!wrist) await open(await ask("POST", "/api/wrists"));
    for (const file of files) {
      if (file.size === 0) throw new Error(`${file.name}: is empty, or a folder; drop a film`);
      if (file.size > desk.film_mib * 2 ** 20) throw new Error(`${file.name}: is larger than ${desk.film_mib} MiB; expected one film`);
      $("reading").textContent = `Reading ${file.name} ...`;
      const before = new Set(wrist.films.map((entry) => entry.number));
      try {
        wrist = await upload(file);
      } catch (error) {
        throw new Error(error.message.replace(/film \d+(?=:)/, file.name));
      } finally {
        $("reading").textContent = "";
      }
      for (const entry of wrist.films) if (!before.has(entry.number)) names.set(entry.number, file.name);
      showFilms();
    }
  });
  $("file").value = "";
}

function showFilms() {
  const cards = $("cards");
  for (const card of [...cards.children])
    if (!wrist || !wrist.films.some((entry) => card.id === `film-${entry.number}`)) card.remove();
  for (const entry of wrist ? wrist.films : []) {
    const card = $(`film-${entry.number}`) || cards.appendChild(newCard(entry));
    card.update(entry);
  }
  showWork();
}

function newCard(entry) {
  const number = entry.number, heading = element("h3", { text: titleOf(entry) });
  const card = element("article", { id: `film-${number}`, class: "card", "aria-label": `Film ${number}` });
  const holder = element("div"), facts = element("fieldset", { class: "facts" });
  const said = { ...entry.options };
  const wrong = element("p", { class: "wrong", role: "alert", hidden: true });
  const rows = {};
  let latest = entry, refused = false, showBox = () => {};

  // One after the other, each with the latest that was said; the job cannot begin in between.
  function send() {
    wrong.hidden = true;
    sending += 1;
    showWork();
    sent = sent.then(async () => {
      try {
        wrist = await ask("PUT", `${base()}/films/${number}`, said);
        refused = false;
      } catch (error) {
        refused = true;
        wrong.textContent = sentence(error.message);
        wrong.hidden = false;
      }
      sending -= 1;
      if (sending) showWork();
      else showFilms();
    });
    return sent;
  }
  function set(name, value) {
    if (value === null) delete said[name];
    else said[name] = value;
    return send();
  }
  function row(name, label, control) {
    control.id = `${name}-${number}`;
    const from = element("span", { class: "from", id: `from-${name}-${number}` });
    control.setAttribute("aria-describedby", from.id);
    rows[name] = { control, from };
    return element("div", { class: "fact" }, element("label", { for: control.id, text: label }), control, from);
  }
  function choice(options, name, convert = (value) => value || null) {
    const control = element("select", {}, ...options.map(([value, text]) => element("option", { value, text })));
    control.addEventListener("change", () => set(name, convert(control.value)));
    return control;
  }
  function length(name, step) {
    const control = element("input", { type: "number", min: 0, step, inputmode: "decimal" });
    control.addEventListener("change", () => set(name, control.value === "" ? null : Number(control.value)));
    return control;
  }
  const side = choice([["", "not said"], ["right", "right"], ["left", "left"]], "side");
  side.addEventListener("change", () => otherSides(number, side.value));
  card.setSide = (value) => { if (value) said.side = value; else delete said.side; return send(); };
  const overrule = element("input", { type: "checkbox", id: `overrule-${number}` });
  overrule.addEventListener("change", () => set("overrule_header", overrule.checked || null));
  const four = ["left", "top", "right", "bottom"].map((edge, k) => {
    const input = element("input", { type: "number", min: 0, step: 1, "aria-label": `Region, ${edge} edge, px` });
    input.addEventListener("change", () => {
      const box = four.map((one) => Number(one.value));
      if (four.every((one) => one.value !== "")) set("roi", box);
    });
    return input;
  });
  const draw = element("button", { type: "button", text: "Draw region" });
  const whole = element("button", { type: "button", text: "Whole film" });
  whole.addEventListener("click", () => set("roi", null));
  draw.addEventListener("click", () => card.picture.classList.toggle("choosing"));
  const away = element("button", { type: "button", text: "Take this film away" });
  away.addEventListener("click", () => guarded(async () => {
    wrist = await ask("DELETE", `${base()}/films/${number}`);
    names.delete(number);
    showFilms();
    $("file").focus();
  }));
  const frame = element("input", { type: "number", min: 1, step: 1 });
  frame.addEventListener("change", () => set("frame", frame.value === "" ? null : Number(frame.value)));
  facts.append(
    element("legend", { text: "What is known of it" }),
    row("side", "Side", side),
    row("view", "View", choice([["", "not said"], ["pa", "PA"], ["lateral", "lateral"]], "view")),
    row("pixel_spacing", "Pixel spacing, mm", length("pixel_spacing_mm", "any")),
    row("hanging", "The picture hangs", choice([["", "read it from the picture"], ["as recorded", "as recorded"], ["mirrored", "mirrored for display"]], "hanging")),
    row("polarity", "Bones are", choice([["auto", "as the file says, or as seen"], ["no", "bright"], ["yes", "dark"]], "invert", (value) => (value === "auto" ? null : value))),
    element("details", {}, element("summary", { text: "More" }),
      row("sdd", "Source to detector, mm", length("sdd_mm", "any")),
      row("source_to_object", "Source to wrist, mm", length("source_to_object_mm", "any")),
      row("frame", "Frame of a multi-frame file", frame),
      element("div", { class: "fact" }, element("span", { text: "Region, px" }), element("div", { class: "four" }, ...four)),
      element("p", { class: "row" }, draw, whole),
      element("p", {}, element("label", {}, overrule, " the header is wrong: what I say holds"))),
    wrong,
    element("p", { class: "row" }, away));
  card.append(element("div", {}, heading, holder), facts);

  card.update = (now) => {
    const picture = `${base()}/films/${number}/picture?${Date.now()}`;
    const fresh = film(now.size_px, picture, `${titleOf(now)}, as recorded, bones bright`);
    showBox = addBox(fresh, now.size_px, (roi) => set("roi", roi));
    if (!card.picture || JSON.stringify(now) !== JSON.stringify(latest) || card.picture.parentNode !== holder) {
      holder.replaceChildren(fresh);
      card.picture = fresh;
      showBox(now.options.roi || null);
    }
    latest = now;
    if (refused) return; // what was said stays in the form, to be corrected
    for (const name of Object.keys(said)) if (!(name in now.options)) delete said[name];
    Object.assign(said, now.options);
    for (const [name, { control, from }] of Object.entries(rows)) {
      const fact = now.facts[name];
      if (!fact) { from.replaceChildren(); continue; }
      const kind = element("span", { class: `tag ${fact.kind.replace(" ", "-")}`, text: KINDS[fact.kind] || fact.kind });
      from.replaceChildren(kind, fact.kind === "option" ? "" : fact.text);
      if (name === "polarity") control.value = said.invert || "auto";
      else if (name === "hanging") control.value = said.hanging || "";
      else if (control !== document.activeElement || control.tagName === "SELECT")
        control.value = fact.value === null || fact.value === undefined ? "" : fact.kind !== "option" && control.type === "number" ? Number(fact.value.toPrecision(6)) : fact.value;
    }
    frame.value = said.frame || "";
    overrule.checked = Boolean(said.overrule_header);
    four.forEach((input, k) => { input.value = said.roi ? said.roi[k] : ""; });
  };
  return card;
}

// Both films are of one wrist: a side that is said of one is said of the other, where its file does not know better.
function otherSides(number, value) {
  for (const entry of wrist.films)
    if (entry.number !== number && entry.facts.side.kind !== "recorded") $(`film-${entry.number}`).setSide(value);
}

// --- the job -------------------------------------------------------------------------------------------------------

function showWork() {
  const films = wrist ? wrist.films : [], work = wrist && (wrist.state === "waiting" || wrist.state === "running");
  $("work").hidden = !wrist || (!films.length && !work);
  $("delete").disabled = !wrist;
  const words = { side: "the side", view: "the view", pixel_spacing: "the pixel spacing" };
  const lacking = [...new Set(films.flatMap((entry) => entry.missing))].map((name) => words[name]);
  $("lacking").textContent = lacking.length ? `Say first what the file does not: ${lacking.join(", ")}.` : "";
  $("run").disabled = sending > 0 || work || !films.length || lacking.length > 0;
  $("cancel").hidden = $("going").hidden = !work;
  if (!wrist) return;
  $("stale").hidden = !wrist.stale;
  if (work) {
    const waiting = wrist.state === "waiting";
    $("step").textContent = waiting ? `waiting; ${wrist.before} before and with this one` : `${STEPS[wrist.step] || wrist.step} (${Math.round(wrist.seconds)} s)`;
    $("bar").max = wrist.steps;
    $("bar").value = waiting ? 0 : wrist.steps_done;
  }
  $("outcome").textContent = { failed: named(sentence(wrist.message)), cancelled: sentence(wrist.message || ""),
    done: `Done in ${Math.round(wrist.seconds)} s.` }[wrist.state] || "";
  if (wrist.state === "done" && !wrist.seconds) $("outcome").textContent = "A result of an earlier session.";
}

async function run() {
  await guarded(async () => {
    wrist = await ask("POST", `${base()}/run`);
    showWork();
    watch();
  });
}

function watch() {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    try {
      wrist = await ask("GET", base());
    } catch (error) {
      say(sentence(error.message));
      if (error.status === 404) return;
    }
    showWork();
    if (wrist.state === "waiting" || wrist.state === "running") return watch();
    if (wrist.state === "done") {
      await guarded(showResult);
      $("result-heading").focus();
    }
  }, 500);
}

// --- the result ----------------------------------------------------------------------------------------------------

async function showResult() {
  view = await ask("GET", `${base()}/view`);
  $("result").hidden = false;
  const { score, verdict } = view.quality;
  const expected = Object.entries(view.expected_mm).map(([bone, mm]) => `${bone} ${mm.rigid.toFixed(1)} mm`).join(", ");
  $("verdict").replaceChildren(element("strong", { text: VERDICTS[verdict] }), ` Quality ${score.toFixed(2)} of 1 (${view.side} wrist).`,
    expected ? ` Expected distance from the true surface, shape alone: ${expected}.` : "");
  const order = { severe: 0, warning: 1, info: 2 };
  const offered = new Set(view.suggestions.filter((one) => one.image !== null).map((one) => one.text));
  const flags = view.quality.flags.filter((flag) => !offered.has(flag.text)).sort((a, b) => order[a.severity] - order[b.severity]);
  $("flags").replaceChildren(...flags.map((flag) => element("li", { class: flag.severity }, element("strong", { text: flag.severity }), flag.text)));
  $("suggestions").replaceChildren(...view.suggestions.filter((one) => one.image !== null).map(suggestion));
  $("zip").href = `${base()}/result.zip`;
  for (const name of Object.keys(comparisons)) delete comparisons[name];
  $("comparisons").tBodies[0].replaceChildren();
  $("comparisons").hidden = true;
  $("compare").reset();
  $("compare-status").textContent = "";
  $("measured").hidden = $("compared").hidden = !view.scene.meshes.length;
  chosen = marked = null;
  showPictures();
  showBones();
  showMeasurements();
}

// What fits a doubtful film better, to be taken with one press; nothing is changed unasked.
function suggestion(one) {
  const button = element("button", { type: "button", text: "Take this and run again" });
  button.addEventListener("click", () => guarded(async () => {
    const entry = wrist.films[one.image];
    if (!entry) throw new Error("the films are not here any more; drop them again");
    const overrule = ["side", "view"].some((name) => name in one.changes && entry.facts[name].kind === "recorded");
    wrist = await ask("PUT", `${base()}/films/${entry.number}`, { ...entry.options, ...one.changes, ...(overrule ? { overrule_header: true } : {}) });
    showFilms();
    await run();
    $("work").scrollIntoView();
  }));
  return element("li", { class: "info" }, element("strong", { text: "fits better" }), one.text, " ", button);
}

function showPictures() {
  const colours = Object.fromEntries(view.scene.meshes.map((mesh) => [mesh.name, mesh.line]));
  shown = view.films.map((one, n) => {
    const label = `${VIEWS[one.view]} film with the outlines of the projected bones`;
    const picture = film(one.size_px, `${base()}/page/${one.picture}?${Date.now()}`, label);
    addOutlines(picture, one.outlines, colours, light, choose);
    const moved = { origin: one.landmarks.origin, shaft: one.landmarks.shaft, changed: false };
    moved.handles = addLandmarks(picture, one.landmarks, one.size_px, (origin, shaft) => {
      Object.assign(moved, { origin: origin.slice(), shaft: shaft.slice(), changed: true });
      showMoved();
    });
    return { picture, film: one, moved, number: n };
  });
  $("pictures").replaceChildren(...shown.map(({ picture, film: one }) => element("figure", {}, picture,
    element("figcaption", { text: `${VIEWS[one.view]} view, ${one.hanging}. ${Object.keys(one.outlines).length
      ? "Outlines of the placed 3D model, nothing else: where a line leaves the bone, the model does."
      : "No wrist was found here. If there is one, put the two points on its radius and fit again."}` }))));
  showMoved();
}

function showMoved() {
  const moved = shown.some((one) => one.moved.changed), films = wrist.films.length === shown.length;
  $("again").disabled = !moved || !films;
  $("find").hidden = !films || !wrist.films.some((entry) => entry.options.landmarks);
  $("back").disabled = !moved;
}

async function fitAgain() {
  await guarded(async () => {
    for (const { moved, film: one, number } of shown) {
      if (!moved.changed) continue;
      const m = one.recorded_from_image;
      const recorded = [moved.origin, moved.shaft].flatMap(([x, y]) => [0, 1].map((k) => m[k][0] * x + m[k][1] * y + m[k][2]));
      const entry = wrist.films[number];
      wrist = await ask("PUT", `${base()}/films/${entry.number}`, { ...entry.options, landmarks: recorded });
    }
    showFilms();
    await run();
    $("work").scrollIntoView();
  });
}

// Without the landmarks that were given: the wrist is found by itself again.
async function findAgain() {
  await guarded(async () => {
    for (const entry of wrist.films) {
      const { landmarks, ...options } = entry.options;
      if (landmarks) wrist = await ask("PUT", `${base()}/films/${entry.number}`, options);
    }
    showFilms();
    await run();
    $("work").scrollIntoView();
  });
}

function putBack() {
  for (const one of shown) {
    one.moved.handles.put(one.film.landmarks.origin, one.film.landmarks.shaft);
    one.moved.changed = false;
  }
  showMoved();
}

function showBones() {
  const scene = view.scene;
  $("turning").hidden = !scene.meshes.length;
  $("light").hidden = !scene.meshes.length;
  if (!scene.meshes.length) return;
  bones = new Bones($("bones"), scene, showMarks, point, choose);
  $("no-gl").hidden = bones.ready;
  $("light").replaceChildren(element("span", { text: "Light up:" }), ...scene.meshes.map((mesh) => {
    const button = element("button", { type: "button", "aria-pressed": "false", "data-light": mesh.name, text: mesh.name });
    button.addEventListener("click", () => choose(mesh.name));
    return button;
  }));
  view.films.forEach((one, n) => {
    if (one.look) bones.looks[view.films.length > 1 ? `as film ${n + 1}` : "as the film"] = one.look;
  });
  if (view.films[0].look) bones.turn = view.films[0].look;
  bones.draw();
  $("sides").replaceChildren(...Object.keys(bones.looks).map((side) => {
    const button = element("button", { type: "button", text: side });
    button.addEventListener("click", () => bones.look(side));
    return button;
  }));
  const ways = [["", "of the bone"]];
  if (scene.meshes.some((mesh) => mesh.sd_mm)) ways.push(["sd", "expected error (SD)"]);
  if (Object.keys(comparisons).length) ways.push(["distance", "distance from the compared model"]);
  $("colouring").replaceChildren(...ways.map(([value, text]) => element("option", { value, text })));
  colour();
}

function ramp(values, largest) {
  const stops = view.scene.ramp, out = new Float32Array(values.length * 3);
  values.forEach((value, n) => {
    const at = Math.min(Math.max(value / largest, 0), 1) * (stops.length - 1), k = Math.min(Math.floor(at), stops.length - 2);
    for (let c = 0; c < 3; c++) out[3 * n + c] = (stops[k][c] + (at - k) * (stops[k + 1][c] - stops[k][c])) / 255;
  });
  return out;
}

function colour() {
  const way = $("colouring").value, scene = view.scene, colours = {};
  const largest = way === "sd" ? scene.largest_sd_mm : scene.largest_distance_mm;
  for (const mesh of scene.meshes) {
    const values = way === "sd" ? mesh.sd_mm : way === "distance" ? comparisons[mesh.name] : null;
    if (values) colours[mesh.name] = ramp(floats(values), largest);
  }
  bones.paint(way ? colours : null);
  $("ramp").hidden = !way;
  const bar = element("span", { class: "bar" });
  bar.style.background = `linear-gradient(90deg, ${scene.ramp.map((c) => `rgb(${c.join(" ")})`).join(", ")})`;
  $("ramp").replaceChildren("0 mm", bar, `${largest} mm and more`);
}

// A bone that is pointed at is lit everywhere; one that was chosen stays lit.
function light(bone) {
  const lit = bone || chosen;
  for (const { picture } of shown) lightOutlines(picture, lit);
  if (bones) bones.light(lit);
}

function choose(bone) {
  chosen = chosen === bone ? null : bone;
  for (const button of document.querySelectorAll("[data-light]")) button.setAttribute("aria-pressed", String(button.dataset.light === chosen));
  light(null);
}

function point(bone, place) {
  light(bone);
  for (const { picture, film: one } of shown) {
    const matrix = bone && one.image_from_bone[bone];
    showSpot(picture, matrix ? project(matrix, place) : null, one.size_px);
  }
}

// --- measurements --------------------------------------------------------------------------------------------------

function showMeasurements() {
  const errors = view.measurements.some((one) => one.expected_error !== null);
  const rows = view.measurements.map((one) => {
    const row = element("tr");
    const drawn = one.lines && one.lines.length;
    const name = drawn ? element("button", { type: "button", "aria-pressed": "false", text: one.name }) : one.name;
    if (drawn) {
      const mark = () => {
        marked = marked === one ? null : one;
        for (const button of $("measurements").querySelectorAll("button")) button.setAttribute("aria-pressed", "false");
        name.setAttribute("aria-pressed", String(marked === one));
        showMarks();
      };
      name.addEventListener("click", mark);
    }
    const shownAs = (value) => (value === null ? "–" : value.toFixed(1).replace("-", "−"));
    const error = one.expected_error === null ? "" : `± ${shownAs(one.expected_error)}`;
    const range = one.normal_low === null ? "" : `${shownAs(one.normal_low)} to ${shownAs(one.normal_high)}`;
    row.className = one.has_skill === false ? "no-skill" : "";
    row.append(element("th", { scope: "row", title: one.definition }, name), element("td", { class: "n", text: shownAs(one.value) }),
      ...(errors ? [element("td", { class: "n", text: error })] : []), element("td", { text: one.unit }), element("td", { class: "n", text: range }), element("td", { text: one.note }));
    return row;
  });
  $("measurements").replaceChildren(element("caption", { text: "Choose one to see it drawn on the films and on the bones." }),
    element("thead", {}, element("tr", {}, ...["Quantity", "Value", ...(errors ? ["Expected error"] : []), "Unit", "Normal", "Remark"].map((text) => element("th", { scope: "col", class: ["Value", "Expected error", "Normal"].includes(text) ? "n" : null, text })))),
    element("tbody", {}, ...rows));
}

function showMarks() {
  const lines = marked ? marked.lines : [];
  for (const { picture, film: one } of shown)
    showLines(picture, lines.filter((line) => one.image_from_bone[line.bone]).map((line) => line.points.map((p) => project(one.image_from_bone[line.bone], p))));
  const canvas = $("bones");
  $("marks").setAttribute("viewBox", `0 0 ${canvas.clientWidth || 1} ${canvas.clientHeight || 1}`);
  if (bones) showLines($("marks"), lines.map((line) => line.points.map((p) => bones.seen(p))));
}

// --- comparison ----------------------------------------------------------------------------------------------------

async function compare(event) {
  event.preventDefault();
  const file = $("compare-file").files[0], bone = $("compare-bone").value, mirror = $("compare-mirror").checked;
  if (!file) return;
  await guarded(async () => {
    const kind = file.name.split(".").pop().toLowerCase();
    $("compare-status").textContent = `Comparing with ${file.name} ...`;
    let found;
    try {
      found = await ask("POST", `${base()}/compare?bone=${bone}&kind=${encodeURIComponent(kind)}&mirror=${mirror}`, file, true);
    } catch (error) {
      throw new Error(error.message.replace(/^model\.\w+/, file.name));
    } finally {
      $("compare-status").textContent = "";
    }
    const d = found.distances, number = (value) => element("td", { class: "n", text: value.toFixed(2) });
    $("comparisons").hidden = false;
    $("comparisons").tBodies[0].append(element("tr", {}, element("td", { text: bone }), element("td", { text: file.name + (mirror ? ", mirrored" : "") }),
      number(d.asd_surface_mm), number(d.asd_paper_mm), number(d.hd95_mm), number(d.maximum_mm)));
    comparisons[bone] = found.vertex_mm;
    showBones();
    $("colouring").value = "distance";
    colour();
    $("compare-status").textContent = `Compared: the ${bone} lies ${d.asd_surface_mm.toFixed(2)} mm from it on average.`;
  });
}

// --- the desk ------------------------------------------------------------------------------------------------------

async function open(found) {
  wrist = found;
  history.replaceState(null, "", `#${wrist.name}`);
  $("result").hidden = true;
  showFilms();
  if (wrist.has_result) await showResult();
  if (wrist.state === "waiting" || wrist.state === "running") watch();
}

function clear() {
  clearTimeout(timer);
  wrist = view = bones = null;
  shown = [];
  names.clear();
  history.replaceState(null, "", location.pathname);
  $("result").hidden = true;
  showFilms();
}

async function showDesk() {
  desk = await ask("GET", "/api/desk");
  $("notice").textContent = desk.notice;
  $("version").textContent = `bonelift ${desk.version}`;
  $("keeping").textContent = desk.kept
    ? "Films are deleted when the server ends; finished results are kept in the folder that it was given."
    : "Films and results are deleted when the server ends, or now with the button below.";
  const others = desk.wrists.filter((one) => !wrist || one.name !== wrist.name);
  $("others").hidden = !others.length;
  $("others").replaceChildren(...others.map((one) => {
    const link = element("a", { href: `#${one.name}`, text: `Wrist of ${one.name.replace(/^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d).*/, "$1-$2-$3 $4:$5:$6")} (${one.state})` });
    link.addEventListener("click", (event) => {
      event.preventDefault();
      names.clear();
      guarded(async () => { await open(await ask("GET", `/api/wrists/${one.name}`)); await showDesk(); });
    });
    return element("li", {}, link);
  }));
}

function listen() {
  const drop = $("drop");
  $("file").addEventListener("change", () => take([...$("file").files]));
  for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => { event.preventDefault(); take([...event.dataTransfer.files]); });
  $("run").addEventListener("click", run);
  $("cancel").addEventListener("click", () => guarded(async () => { wrist = await ask("POST", `${base()}/cancel`); showWork(); }));
  $("again").addEventListener("click", fitAgain);
  $("find").addEventListener("click", findAgain);
  $("back").addEventListener("click", putBack);
  $("colouring").addEventListener("change", colour);
  $("compare").addEventListener("submit", compare);
  $("new").addEventListener("click", () => guarded(async () => { clear(); await showDesk(); $("file").focus(); }));
  $("delete").addEventListener("click", () => guarded(async () => {
    const gone = await ask("DELETE", base());
    clear();
    await showDesk();
    $("reading").textContent = sentence(gone.message) + ".";
  }));
  window.addEventListener("resize", () => bones && bones.draw());
}

async function begin() {
  listen();
  await guarded(showDesk);
  const name = location.hash.slice(1);
  if (/^[0-9a-f-]+$/.test(name)) await guarded(async () => open(await ask("GET", `/api/wrists/${name}`)));
  document.body.dataset.ready = "yes";
}

begin();
