// A film as SVG: the picture, what is drawn on it, and what can be moved on it. Coordinates are px of the picture's grid.
const SVG = "http://www.w3.org/2000/svg";

export function svg(kind, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// size: [columns, rows]; pixel centres lie at whole numbers.
export function film(size, picture, label) {
  const [width, height] = size;
  const title = svg("title");
  title.textContent = label;
  return svg("svg", { class: "film", viewBox: `-0.5 -0.5 ${width} ${height}`, role: "group", "aria-label": label },
    title, svg("image", { href: picture, x: -0.5, y: -0.5, width, height, preserveAspectRatio: "none" }));
}

export function place(picture, event) {
  const matrix = picture.getScreenCTM().inverse();
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
  return [point.x, point.y];
}

function outlinePath(lines) {
  return lines.map((line) => "M" + line.map((point) => point.join(" ")).join("L")).join("");
}

// Outlines of all bones; hover and click tell the bone.
export function addOutlines(picture, outlines, colours, whenPointed, whenChosen) {
  for (const [bone, lines] of Object.entries(outlines)) {
    const d = outlinePath(lines);
    if (!d) continue;
    const colour = `rgb(${colours[bone].join(" ")})`;
    const hit = svg("path", { class: "hit", d, fill: colour, "data-bone": bone });
    hit.addEventListener("pointerenter", () => whenPointed(bone));
    hit.addEventListener("pointerleave", () => whenPointed(null));
    hit.addEventListener("click", () => whenChosen(bone));
    picture.append(svg("path", { class: "outline rim", d }),
      svg("path", { class: "outline", d, stroke: colour, "data-bone": bone }), hit);
  }
}

export function lightOutlines(picture, bone) {
  for (const path of picture.querySelectorAll("[data-bone]")) path.classList.toggle("lit", path.dataset.bone === bone);
}

// Two points that can be dragged, or moved with the arrow keys. whenMoved(origin, shaft) after each move.
export function addLandmarks(picture, landmarks, size, whenMoved) {
  const points = [landmarks.origin.slice(), landmarks.shaft.slice()];
  const unit = Math.max(...size) / 100;
  const axis = svg("line", { class: "axis" });
  const names = ["Joint end of the radial shaft's axis", "Point of the radial shaft's axis up the forearm"];
  const handles = names.map((name) => svg("g", { class: "handle", tabindex: 0, role: "button",
    "aria-label": `${name}: arrow keys move it, with Shift ten times as far` },
    svg("circle", { class: "ring", r: 2 * unit }), svg("circle", { class: "dot", r: 0.35 * unit })));
  const show = () => {
    const [a, b] = points;
    for (const [name, value] of Object.entries({ x1: a[0], y1: a[1], x2: b[0], y2: b[1] })) axis.setAttribute(name, value);
    handles.forEach((handle, n) => handle.setAttribute("transform", `translate(${points[n].join(" ")})`));
  };
  const move = (n, to) => {
    points[n] = to.map((value, k) => Math.min(Math.max(value, 0), size[k] - 1));
    show();
    whenMoved(points[0], points[1]);
  };
  handles.forEach((handle, n) => {
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      event.stopPropagation();
      handle.focus();
      handle.setPointerCapture(event.pointerId);
      handle.onpointermove = (moved) => move(n, place(picture, moved));
    });
    for (const kind of ["pointerup", "pointercancel"]) handle.addEventListener(kind, () => { handle.onpointermove = null; });
    handle.addEventListener("keydown", (event) => {
      const far = event.shiftKey ? 10 : 1;
      const step = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] }[event.key];
      if (!step) return;
      event.preventDefault();
      move(n, [points[n][0] + step[0], points[n][1] + step[1]]);
    });
  });
  picture.append(axis, ...handles);
  show();
  return { put(origin, shaft) { points[0] = origin.slice(); points[1] = shaft.slice(); show(); } };
}

// The spot that is pointed at in 3D. where: [x, y] or null.
export function showSpot(picture, where, size) {
  let spot = picture.querySelector(".spot");
  if (!spot) picture.append((spot = svg("circle", { class: "spot", r: Math.max(...size) / 130 })));
  spot.setAttribute("visibility", where ? "visible" : "hidden");
  if (where) { spot.setAttribute("cx", where[0]); spot.setAttribute("cy", where[1]); }
}

// Polylines of a measurement; lines: [[x, y], ...] each.
export function showLines(picture, lines) {
  for (const old of picture.querySelectorAll(".measure, .measure-rim")) old.remove();
  for (const line of lines) {
    const points = line.map((point) => point.join(",")).join(" ");
    picture.append(svg("polyline", { class: "measure-rim", points }), svg("polyline", { class: "measure", points }));
  }
}

// (3, 4) from mm to px.
export function project(matrix, point) {
  const [u, v, w] = matrix.map((row) => row[0] * point[0] + row[1] * point[1] + row[2] * point[2] + row[3]);
  return [u / w, v / w];
}

// A box drawn with the pointer: whenDrawn([x0, y0, x1, y1]) in whole px. Returns what shows a box that is set.
export function addBox(picture, size, whenDrawn) {
  const box = svg("rect", { class: "box", visibility: "hidden" });
  picture.append(box);
  const show = (roi) => {
    box.setAttribute("visibility", roi ? "visible" : "hidden");
    if (!roi) return;
    const [x0, y0, x1, y1] = roi;
    for (const [name, value] of Object.entries({ x: x0 - 0.5, y: y0 - 0.5, width: x1 - x0, height: y1 - y0 })) box.setAttribute(name, value);
  };
  const corners = (from, to) => [0, 1].map((k) => [Math.min(from[k], to[k]), Math.max(from[k], to[k])])
    .map(([low, high], k) => [Math.max(0, Math.floor(low)), Math.min(size[k], Math.ceil(high))]);
  let from = null;
  picture.addEventListener("pointerdown", (event) => {
    if (!picture.classList.contains("choosing")) return;
    event.preventDefault();
    from = place(picture, event);
    picture.setPointerCapture(event.pointerId);
  });
  picture.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [[x0, x1], [y0, y1]] = corners(from, place(picture, event));
    show([x0, y0, x1, y1]);
  });
  picture.addEventListener("pointerup", (event) => {
    if (!from) return;
    const [[x0, x1], [y0, y1]] = corners(from, place(picture, event));
    from = null;
    picture.classList.remove("choosing");
    whenDrawn(x1 - x0 > 3 && y1 - y0 > 3 ? [x0, y0, x1, y1] : null);
  });
  return show;
}
