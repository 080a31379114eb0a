// A small viewer of the page's own meshes: drag turns, wheel or pinch zooms, double click resets. Plain WebGL 1.
(function () {
  "use strict";
  /* global BONE_SHADERS: in bone_shaders.js, which stands before this */
  const holder = document.getElementById("viewer");
  const scene = JSON.parse(document.getElementById("scene").textContent);
  const canvas = holder.querySelector("canvas");
  const gl = canvas.getContext("webgl", { antialias: true });
  if (!gl || !gl.getExtension("OES_element_index_uint")) return; // the pictures above stay

  function compile(kind, source) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    return shader;
  }
  const program = gl.createProgram();
  gl.attachShader(program, compile(gl.VERTEX_SHADER, BONE_SHADERS.vertex));
  gl.attachShader(program, compile(gl.FRAGMENT_SHADER, BONE_SHADERS.fragment));
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return;
  gl.useProgram(program);
  const at = (name) => gl.getUniformLocation(program, name);
  const slot = (name) => gl.getAttribLocation(program, name);

  function bytes(text) {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let n = 0; n < raw.length; n++) out[n] = raw.charCodeAt(n);
    return out;
  }
  function buffer(target, values) {
    const made = gl.createBuffer();
    gl.bindBuffer(target, made);
    gl.bufferData(target, values, gl.STATIC_DRAW);
    return made;
  }
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  const bones = scene.meshes.map((mesh) => {
    const positions = new Float32Array(bytes(mesh.positions).buffer);
    positions.forEach((value, n) => {
      low[n % 3] = Math.min(low[n % 3], value);
      high[n % 3] = Math.max(high[n % 3], value);
    });
    const faces = new Uint32Array(bytes(mesh.faces).buffer);
    return {
      name: mesh.name, colour: mesh.colour, shown: true, count: faces.length,
      positions: buffer(gl.ARRAY_BUFFER, positions),
      normals: buffer(gl.ARRAY_BUFFER, bytes(mesh.normals)),
      errors: mesh.errors ? buffer(gl.ARRAY_BUFFER, bytes(mesh.errors)) : null,
      faces: buffer(gl.ELEMENT_ARRAY_BUFFER, faces),
    };
  });
  const centre = low.map((value, n) => (value + high[n]) / 2);
  const reach = Math.hypot(...low.map((value, n) => high[n] - value)) / 2;

  // The turn is kept as three rows: image right, image up, towards the viewer. It starts at the palmar view.
  const START = [[-1, 0, 0], [0, 0, 1], [0, 1, 0]];
  let turn = START, zoom = 1, showError = false;

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    const size = (1.3 * zoom) / reach, side = Math.min(canvas.width, canvas.height);
    gl.uniform2f(at("scale"), (size * side) / canvas.width, (size * side) / canvas.height);
    gl.uniform3fv(at("centre"), centre);
    gl.uniformMatrix3fv(at("turn"), false, [0, 1, 2].flatMap((c) => turn.map((row) => row[c])));
    for (const bone of bones.filter((candidate) => candidate.shown)) {
      attribute("position", bone.positions, 3, gl.FLOAT);
      attribute("normal", bone.normals, 3, gl.BYTE);
      const coloured = showError && bone.errors;
      if (coloured) attribute("paint", bone.errors, 3, gl.UNSIGNED_BYTE);
      else gl.disableVertexAttribArray(slot("paint"));
      gl.uniform1f(at("painted"), coloured ? 1 : 0);
      gl.uniform3fv(at("tint"), bone.colour);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, bone.faces);
      gl.drawElements(gl.TRIANGLES, bone.count, gl.UNSIGNED_INT, 0);
    }
    letter((size * side) / ratio / 2);
  }

  // Which side of the wrist lies at each edge, and a bar of 10 mm: the view has no perspective, so it holds everywhere.
  const NAMES = [scene.side === "right" ? ["ulnar", "radial"] : ["radial", "ulnar"], ["palmar", "dorsal"], ["distal", "proximal"]];
  function towards(direction) {
    const axis = [0, 1, 2].reduce((best, n) => (Math.abs(direction[n]) > Math.abs(direction[best]) ? n : best), 0);
    return NAMES[axis][direction[axis] > 0 ? 0 : 1];
  }
  function letter(pxPerMm) {
    const minus = (row) => row.map((value) => -value);
    const edges = { left: minus(turn[0]), right: turn[0], top: turn[1], bottom: minus(turn[1]) };
    for (const [edge, direction] of Object.entries(edges)) {
      const label = holder.querySelector(`[data-edge="${edge}"]`);
      if (label) label.textContent = towards(direction);
    }
    const bar = holder.querySelector(".mm");
    if (bar) bar.style.width = `${10 * pxPerMm}px`;
  }
  function attribute(name, values, size, kind) {
    gl.bindBuffer(gl.ARRAY_BUFFER, values);
    gl.enableVertexAttribArray(slot(name));
    gl.vertexAttribPointer(slot(name), size, kind, kind !== gl.FLOAT, 0, 0);
  }
  function rotate(aboutRight, aboutUp) {
    const [cx, sx, cy, sy] = [Math.cos(aboutRight), Math.sin(aboutRight), Math.cos(aboutUp), Math.sin(aboutUp)];
    const by = [[cy, 0, sy], [sx * sy, cx, -sx * cy], [-cx * sy, sx, cx * cy]];
    turn = by.map((row) => [0, 1, 2].map((c) => row.reduce((sum, value, n) => sum + value * turn[n][c], 0)));
    draw();
  }
  function zoomBy(factor) {
    zoom = Math.min(12, Math.max(0.3, zoom * factor));
    draw();
  }

  const pointers = new Map();
  let spread = 0;
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    canvas.setPointerCapture(event.pointerId);
    spread = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (pointers.size === 1) return rotate((event.clientY - before[1]) / 150, (event.clientX - before[0]) / 150);
    const [one, two] = [...pointers.values()];
    const now = Math.hypot(one[0] - two[0], one[1] - two[1]);
    if (spread) zoomBy(now / spread);
    spread = now;
  });
  for (const name of ["pointerup", "pointercancel"])
    canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY / 600));
  }, { passive: false });
  canvas.addEventListener("dblclick", () => { turn = START; zoom = 1; draw(); });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -0.15], ArrowRight: [0, 0.15], ArrowUp: [-0.15, 0], ArrowDown: [0.15, 0] }[event.key];
    if (step) { event.preventDefault(); rotate(...step); }
    if (event.key === "+" || event.key === "-") zoomBy(event.key === "+" ? 1.15 : 1 / 1.15);
  });
  window.addEventListener("resize", draw);

  const controls = holder.querySelector(".controls");
  function tick(text, checked, change) {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox"; box.checked = checked;
    box.addEventListener("change", () => { change(box.checked); draw(); });
    label.append(box, document.createTextNode(" " + text));
    controls.append(label);
  }
  for (const bone of bones) tick(bone.name, true, (on) => { bone.shown = on; });
  if (bones.some((bone) => bone.errors)) tick("colour by error", false, (on) => { showError = on; });
  holder.hidden = false;
  draw();
})();
