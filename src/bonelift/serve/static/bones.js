// The bones in 3D: plain WebGL 1. Turned, lit and coloured by the page; tells which place of which bone is pointed at.
/* global BONE_SHADERS: in bone_shaders.js, which the page loads first */
export function floats(text) {
  return new Float32Array(bytes(text).buffer);
}

function bytes(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let n = 0; n < raw.length; n++) out[n] = raw.charCodeAt(n);
  return out;
}

// Rows: image right, image up, towards the viewer, in the radius frame of the patient's own side.
function looks(side) {
  const radial = side === "right" ? [-1, 0, 0] : [1, 0, 0];
  const minus = (v) => v.map((x) => -x);
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const from = (up, viewer) => [cross(up, viewer), up, viewer];
  const distal = [0, 0, 1], palmar = [0, 1, 0];
  return {
    palmar: from(distal, palmar), dorsal: from(distal, minus(palmar)), radial: from(distal, radial),
    ulnar: from(distal, minus(radial)), distal: from([0, -1, 0], distal),
  };
}

export class Bones {
  // canvas; whenTurned(): after every drawing; whenPointed(bone, point): name and mm, or null and null.
  constructor(canvas, scene, whenTurned, whenPointed, whenChosen) {
    this.canvas = canvas;
    this.whenTurned = whenTurned;
    this.lit = null;
    this.zoom = 1;
    this.looks = looks(scene.side);
    this.turn = this.looks.palmar;
    this.meshes = scene.meshes.map((mesh) => ({
      name: mesh.name, tint: mesh.colour, shown: true,
      positions: floats(mesh.positions), normals: floats(mesh.normals),
      faces: new Uint32Array(bytes(mesh.faces).buffer), paint: null,
    }));
    const low = [1e9, 1e9, 1e9], high = [-1e9, -1e9, -1e9];
    for (const mesh of this.meshes)
      mesh.positions.forEach((value, n) => {
        low[n % 3] = Math.min(low[n % 3], value);
        high[n % 3] = Math.max(high[n % 3], value);
      });
    this.centre = low.map((value, n) => (value + high[n]) / 2);
    this.reach = Math.hypot(...low.map((value, n) => high[n] - value)) / 2;
    this.ready = this.begin();
    this.listen(whenPointed, whenChosen);
    this.draw();
  }

  begin() {
    const gl = this.canvas.getContext("webgl", { antialias: true, preserveDrawingBuffer: true });
    if (!gl || !gl.getExtension("OES_element_index_uint")) return false;
    this.gl = gl;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, BONE_SHADERS.vertex], [gl.FRAGMENT_SHADER, BONE_SHADERS.fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return false;
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    this.at = (name) => gl.getUniformLocation(program, name);
    this.slot = (name) => gl.getAttribLocation(program, name);
    for (const mesh of this.meshes) {
      mesh.buffers = {
        position: this.buffer(gl.ARRAY_BUFFER, mesh.positions), normal: this.buffer(gl.ARRAY_BUFFER, mesh.normals),
        faces: this.buffer(gl.ELEMENT_ARRAY_BUFFER, mesh.faces), paint: null,
      };
    }
    return true;
  }

  buffer(target, values) {
    const made = this.gl.createBuffer();
    this.gl.bindBuffer(target, made);
    this.gl.bufferData(target, values, this.gl.STATIC_DRAW);
    return made;
  }

  // colours: name -> Float32Array of rgb from 0 to 1 for each vertex, or null for the bone's own tint.
  paint(colours) {
    for (const mesh of this.meshes) {
      const values = colours && colours[mesh.name];
      if (this.ready) mesh.buffers.paint = values ? this.buffer(this.gl.ARRAY_BUFFER, values) : null;
    }
    this.draw();
  }

  light(name) {
    this.lit = name;
    this.draw();
  }

  look(side) {
    this.turn = this.looks[side];
    this.draw();
  }

  scale() {
    const size = (1.3 * this.zoom) / this.reach, { clientWidth: width, clientHeight: height } = this.canvas;
    const short = Math.min(width, height);
    return [(size * short) / width, (size * short) / height];
  }

  // mm of the bones' frame -> px of the canvas as it is shown.
  seen(point) {
    const p = this.turned(point), [sx, sy] = this.scale();
    const { clientWidth: width, clientHeight: height } = this.canvas;
    return [(p[0] * sx + 1) * width / 2, (1 - p[1] * sy) * height / 2];
  }

  turned(point) {
    const d = point.map((value, n) => value - this.centre[n]);
    return this.turn.map((row) => row[0] * d[0] + row[1] * d[1] + row[2] * d[2]);
  }

  draw() {
    if (!this.ready) return;
    const gl = this.gl, canvas = this.canvas, ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniform2fv(this.at("scale"), this.scale());
    gl.uniform3fv(this.at("centre"), this.centre);
    gl.uniformMatrix3fv(this.at("turn"), false, [0, 1, 2].flatMap((c) => this.turn.map((row) => row[c])));
    for (const mesh of this.meshes.filter((candidate) => candidate.shown)) {
      this.attribute("position", mesh.buffers.position);
      this.attribute("normal", mesh.buffers.normal);
      if (mesh.buffers.paint) this.attribute("paint", mesh.buffers.paint);
      else gl.disableVertexAttribArray(this.slot("paint"));
      gl.uniform1f(this.at("painted"), mesh.buffers.paint ? 1 : 0);
      gl.uniform1f(this.at("lit"), this.lit === mesh.name ? 1 : 0);
      gl.uniform3fv(this.at("tint"), mesh.tint);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, mesh.buffers.faces);
      gl.drawElements(gl.TRIANGLES, mesh.faces.length, gl.UNSIGNED_INT, 0);
    }
    this.whenTurned();
  }

  attribute(name, buffer) {
    const gl = this.gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.enableVertexAttribArray(this.slot(name));
    gl.vertexAttribPointer(this.slot(name), 3, gl.FLOAT, false, 0, 0);
  }

  rotate(aboutRight, aboutUp) {
    const [cx, sx, cy, sy] = [Math.cos(aboutRight), Math.sin(aboutRight), Math.cos(aboutUp), Math.sin(aboutUp)];
    const by = [[cy, 0, sy], [sx * sy, cx, -sx * cy], [-cx * sy, sx, cx * cy]];
    this.turn = by.map((row) => [0, 1, 2].map((c) => row.reduce((sum, v, n) => sum + v * this.turn[n][c], 0)));
    this.draw();
  }

  zoomBy(factor) {
    this.zoom = Math.min(12, Math.max(0.3, this.zoom * factor));
    this.draw();
  }

  // The nearest place of a bone under a point of the canvas: {bone, point in mm}, or null.
  pick(x, y) {
    const [sx, sy] = this.scale(), { clientWidth: width, clientHeight: height } = this.canvas;
    const u = ((2 * x) / width - 1) / sx, v = (1 - (2 * y) / height) / sy;
    const [right, up, out] = this.turn;
    const start = [0, 1, 2].map((n) => this.centre[n] + u * right[n] + v * up[n]);
    let best = null;
    for (const mesh of this.meshes.filter((candidate) => candidate.shown)) {
      const t = nearest(mesh, start, out);
      if (t !== null && (best === null || t > best.t)) best = { bone: mesh.name, t };
    }
    return best && { bone: best.bone, point: start.map((value, n) => value + best.t * out[n]) };
  }

  listen(whenPointed, whenChosen) {
    const canvas = this.canvas, pointers = new Map();
    let spread = 0, moved = 0;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return this.pick(event.clientX - box.left, event.clientY - box.top);
    };
    canvas.onpointerdown = (event) => {
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      canvas.setPointerCapture(event.pointerId);
      spread = moved = 0;
    };
    canvas.onpointermove = (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) {
        const hit = place(event);
        return whenPointed(hit && hit.bone, hit && hit.point);
      }
      moved += Math.hypot(event.clientX - before[0], event.clientY - before[1]);
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      if (pointers.size === 1) return this.rotate((event.clientY - before[1]) / 150, (event.clientX - before[0]) / 150);
      const [one, two] = [...pointers.values()];
      const now = Math.hypot(one[0] - two[0], one[1] - two[1]);
      if (spread) this.zoomBy(now / spread);
      spread = now;
    };
    canvas.onpointerup = canvas.onpointercancel = (event) => {
      pointers.delete(event.pointerId);
      if (moved < 4 && event.type === "pointerup") {
        const hit = place(event);
        whenChosen(hit && hit.bone);
        whenPointed(hit && hit.bone, hit && hit.point);
      }
    };
    canvas.onpointerleave = () => whenPointed(null, null);
    canvas.onwheel = (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 600));
    };
    canvas.ondblclick = () => { this.zoom = 1; this.look("palmar"); };
    canvas.onkeydown = (event) => {
      const step = { ArrowLeft: [0, -0.15], ArrowRight: [0, 0.15], ArrowUp: [-0.15, 0], ArrowDown: [0.15, 0] }[event.key];
      if (step) { event.preventDefault(); this.rotate(...step); }
      if (event.key === "+" || event.key === "-") this.zoomBy(event.key === "+" ? 1.15 : 1 / 1.15);
      if (event.key === "Home") { event.preventDefault(); this.zoom = 1; this.look("palmar"); }
    };
  }
}

// Largest t at which start + t * out meets a triangle (Moller and Trumbore 1997), or null.
function nearest(mesh, start, out) {
  const { positions: p, faces } = mesh;
  let best = null;
  for (let f = 0; f < faces.length; f += 3) {
    const a = 3 * faces[f], b = 3 * faces[f + 1], c = 3 * faces[f + 2];
    const e1x = p[b] - p[a], e1y = p[b + 1] - p[a + 1], e1z = p[b + 2] - p[a + 2];
    const e2x = p[c] - p[a], e2y = p[c + 1] - p[a + 1], e2z = p[c + 2] - p[a + 2];
    const hx = out[1] * e2z - out[2] * e2y, hy = out[2] * e2x - out[0] * e2z, hz = out[0] * e2y - out[1] * e2x;
    const det = e1x * hx + e1y * hy + e1z * hz;
    if (Math.abs(det) < 1e-9) continue;
    const sx = start[0] - p[a], sy = start[1] - p[a + 1], sz = start[2] - p[a + 2];
    const u = (sx * hx + sy * hy + sz * hz) / det;
    if (u < 0 || u > 1) continue;
    const qx = sy * e1z - sz * e1y, qy = sz * e1x - sx * e1z, qz = sx * e1y - sy * e1x;
    const v = (out[0] * qx + out[1] * qy + out[2] * qz) / det;
    if (v < 0 || u + v > 1) continue;
    const t = (e2x * qx + e2y * qy + e2z * qz) / det;
    if (best === null || t > best) best = t;
  }
  return best;
}
