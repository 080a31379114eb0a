// How a bone is lit, in the GLSL of WebGL 1: shared by the viewer of the reports and the page of `bonelift serve`.
// painted: 1 where the colours of the vertices count, else 0 (tint). lit: 1 for a bone that is pointed out, else 0.
const BONE_SHADERS = {
  vertex: `
    attribute vec3 position, normal, paint;
    precision mediump float;
    uniform mat3 turn; uniform vec3 centre, tint; uniform vec2 scale; uniform float painted;
    varying vec3 viewNormal, colour;
    void main() {
      vec3 p = turn * (position - centre);
      viewNormal = turn * normal;
      colour = mix(tint, paint, painted);
      gl_Position = vec4(p.xy * scale, -p.z / 400.0, 1.0);
    }`,
  fragment: `
    precision mediump float;
    uniform float lit, painted;
    varying vec3 viewNormal, colour;
    void main() {
      vec3 n = normalize(viewNormal);
      float inner = gl_FrontFacing ? 1.0 : 0.45;
      if (!gl_FrontFacing) n = -n;
      float key = max(dot(n, normalize(vec3(-0.45, 0.55, 0.75))), 0.0);
      float fill = max(dot(n, normalize(vec3(0.8, -0.1, 0.45))), 0.0);
      float rim = 1.0 - 0.45 * pow(1.0 - clamp(n.z, 0.0, 1.0), 3.0);
      float gloss = 0.1 * pow(max(dot(n, normalize(vec3(-0.25, 0.35, 0.9))), 0.0), 40.0);
      vec3 shaded = colour * (0.38 + 0.6 * key + 0.22 * fill) * rim * inner + gloss * inner;
      float edge = pow(1.0 - clamp(abs(n.z), 0.0, 1.0), 2.0);
      gl_FragColor = vec4(mix(shaded, vec3(1.0, 0.85, 0.3), lit * (0.16 * (1.0 - painted) + 0.6 * edge)), 1.0);
    }`,
};
