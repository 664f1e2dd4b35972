// Player: frames come as JPEG pictures on demand; overlays are drawn here from track data, one canvas for each panel.
const BATCH = 16, KEEP = 240, AHEAD = 32, TRAIL = 15;

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    name in node && name !== "list" ? (node[name] = value) : node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Pictures and overlays of frames: the newest KEEP are kept, requests are never sent twice.
class Store {
  constructor(model, count, changed) {
    this.model = model; this.count = count; this.changed = changed;
    this.known = new Map(); this.asked = new Set();
  }
  get(frame) {
    const found = this.known.get(frame);
    if (found) { this.known.delete(frame); this.known.set(frame, found); }
    return found;
  }
  want(first, n) {
    const missing = [];
    for (let i = first; i < Math.min(first + n, this.count) && missing.length < BATCH; i++)
      if (!this.known.has(i) && !this.asked.has(i)) missing.push(i);
    if (!missing.length) return;
    missing.forEach(i => this.asked.add(i));
    this.model.send({ do: "frames", frames: missing });
  }
  async take(overlays, buffers) {
    await Promise.all(overlays.map(async (overlay, k) => {
      const bytes = buffers[k];
      const picture = await createImageBitmap(new Blob([bytes.buffer ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : bytes], { type: "image/jpeg" }));
      this.asked.delete(overlay.frame);
      this.known.set(overlay.frame, { ...overlay, picture });
    }));
    while (this.known.size > KEEP) {
      const [oldest, value] = this.known.entries().next().value;
      value.picture.close(); this.known.delete(oldest);
    }
    this.changed();
  }
  clear() { for (const v of this.known.values()) v.picture.close(); this.known.clear(); this.asked.clear(); }
}

function render({ model, el }) {
  const info = model.get("info"), n = info.frames;
  const colours = Object.fromEntries(info.objects.map(o => [o.id, o.colour]));
  const hidden = new Set();
  let current = Math.min(Math.max(model.get("frame"), 0), n - 1), drawn = -1, playing = false, speed = 1, range = null;
  let started = 0, startFrame = 0, timer = 0;

  const root = make("div", { className: "vt-player", tabIndex: 0 });
  root.dataset.lmSuppressShortcuts = "true";
  const columns = info.panels.length <= 3 ? info.panels.length : Math.ceil(Math.sqrt(info.panels.length));
  const panels = make("div", { className: "vt-panels", style: `grid-template-columns: repeat(${columns}, 1fr)` });
  const views = info.panels.map(name => {
    const canvas = make("canvas", { className: "vt-panel", width: Math.round(info.width * info.scale), height: Math.round(info.height * info.scale) });
    canvas.setAttribute("aria-label", `video with the tracks of ${name}`);
    panels.append(canvas);
    return { name, canvas, g: canvas.getContext("2d") };
  });

  const button = (text, title, act) => make("button", { textContent: text, title, onclick: act, type: "button" });
  const play = button("▶", "play or pause (space)", () => toggle());
  const back = button("‹", "one frame back (left)", () => go(current - 1));
  const next = button("›", "one frame on (right)", () => go(current + 1));
  const slider = make("input", { type: "range", min: 0, max: n - 1, value: current, oninput: () => go(+slider.value) });
  slider.setAttribute("aria-label", "frame");
  const number = make("input", { type: "number", min: 0, max: n - 1, value: current, onchange: () => go(+number.value) });
  number.setAttribute("aria-label", "frame number");
  const rate = make("select", { title: "speed", onchange: () => { speed = +rate.value; restart(); } },
    ...[0.1, 0.25, 0.5, 1, 2, 4].map(v => make("option", { value: v, textContent: `${v}×`, selected: v === 1 })));
  const loop = button("⟲", "loop: once for the start here, again for the end here, again to stop looping (l)", () => mark());
  const help = button("?", "keys", () => { keys.hidden = !keys.hidden; });
  const time = make("span", { className: "vt-time" });
  const keys = make("div", { className: "vt-help", hidden: true, textContent:
    "space play/pause · ← → one frame · shift ← → ten frames · Home End · l loop from/to/off · , . next or previous event · ? this" });
  const note = make("div", { className: "vt-note" });
  note.setAttribute("role", "status");
  const objects = make("div", { className: "vt-objects" });
  for (const o of info.objects) {
    const chip = make("button", { type: "button", title: "show or hide this object" },
      make("span", { className: "vt-dot", style: `background: ${o.colour}` }), `${o.id} ${o.label}`.trim());
    chip.setAttribute("aria-pressed", "true");
    chip.onclick = () => {
      hidden.has(o.id) ? hidden.delete(o.id) : hidden.add(o.id);
      chip.setAttribute("aria-pressed", String(!hidden.has(o.id)));
      drawn = -1; draw();
    };
    objects.append(chip);
  }
  const lines = make("div", { className: "vt-lines" });
  root.append(panels, make("div", { className: "vt-bar" }, back, play, next, slider, number, rate, loop, help, time), keys, objects, lines, note);
  el.append(root);

  const store = new Store(model, n, () => draw());
  const events = [];
  const rows = info.panels.flatMap(panel => info.timelines[panel].map(line => {
    const canvas = make("canvas", { width: 1200, height: 40 });
    const label = info.panels.length > 1 ? `${panel} · ${line.id}` : `${line.id} ${(info.objects.find(o => o.id === line.id) || {}).label || ""}`;
    lines.append(make("div", { className: "vt-line" }, make("span", { textContent: label, title: label }), canvas));
    line.events.forEach(e => events.push({ ...e, id: line.id, panel }));
    const at = e => { const r = canvas.getBoundingClientRect(); return (e.clientX - r.left) / r.width * n; };
    canvas.onclick = e => {
      const f = at(e), near = line.events.filter(v => Math.abs(v.frame - f) < n / 60).sort((a, b) => Math.abs(a.frame - f) - Math.abs(b.frame - f))[0];
      go(near ? near.frame : Math.floor(f));
    };
    canvas.onmousemove = e => {
      const f = at(e), near = line.events.find(v => Math.abs(v.frame - f) < n / 60);
      canvas.title = near ? `frame ${near.frame}: ${near.text}` : `frame ${Math.floor(f)}`;
    };
    paint(canvas, line);
    return { canvas, line };
  }));
  events.sort((a, b) => a.frame - b.frame);

  // One row: height of the bar = score, brightness = overlap with truth (or full), marks = events.
  function paint(canvas, line) {
    const g = canvas.getContext("2d"), w = canvas.width, h = canvas.height, step = w / info.bins;
    g.clearRect(0, 0, w, h);
    g.fillStyle = "#8883"; g.fillRect(0, h - 3, w, 3);
    for (let k = 0; k < info.bins; k++) {
      if (line.present[k] === null) continue;
      g.globalAlpha = line.overlap ? 0.15 + 0.85 * (line.overlap[k] ?? 0) : 0.9;
      g.fillStyle = line.present[k] > 0 ? colours[line.id] : "#888";
      const high = line.present[k] > 0 ? Math.max(0.15, line.score[k] ?? 1) * (h - 8) : 4;
      g.fillRect(k * step, h - high, Math.max(step, 1), high);
    }
    g.globalAlpha = 1;
    const shade = { lost: "#d55e00", found: "#009e73", switched: "#cc79a7", corrected: "#0072b2", left: "#d55e00" };
    for (const e of line.events) {
      if (e.kind === "method") continue;
      const x = (e.frame + 0.5) / n * w;
      g.fillStyle = shade[e.kind] || "#777";
      g.beginPath(); g.moveTo(x - 6, 0); g.lineTo(x + 6, 0); g.lineTo(x, 9); g.fill();
    }
  }

  function draw() {
    slider.value = current;
    if (document.activeElement !== number) number.value = current;
    const s = current / info.fps;
    time.textContent = `${Math.floor(s / 60)}:${(s % 60).toFixed(2).padStart(5, "0")} · ${current}/${n - 1}`;
    const item = store.get(current);
    if (!playing || !store.known.has(Math.min(current + AHEAD, n - 1))) store.want(current, playing ? AHEAD : 1);
    if (!item) { store.want(current, 1); return; }
    if (drawn === current) return;
    drawn = current;
    for (const { name, canvas, g } of views) {
      g.drawImage(item.picture, 0, 0, canvas.width, canvas.height);
      const k = info.scale, weight = Math.max(1.5, canvas.height / 200);
      g.lineWidth = weight; g.font = `${Math.max(11, canvas.height / 26)}px system-ui, sans-serif`; g.textBaseline = "bottom";
      g.strokeStyle = "#fff"; g.setLineDash([]);
      for (const b of item.truth) if (b) g.strokeRect(b[0] * k, b[1] * k, (b[2] - b[0]) * k, (b[3] - b[1]) * k);
      const panel = item.panels[name];
      for (const m of panel.outlines) if (!hidden.has(m.id)) outline(g, m.lines, k, colours[m.id]);
      const masked = new Set(panel.outlines.map(m => m.id)), dotted = new Set(panel.points.map(p => p.id));
      for (const b of panel.boxes) {
        if (!b.box || hidden.has(b.id) || dotted.has(b.id)) continue;
        const [x1, y1, x2, y2] = b.box.map(v => v * k);
        g.strokeStyle = g.fillStyle = colours[b.id];
        g.setLineDash(b.seen ? [] : [5, 5]);
        if (!masked.has(b.id) || !b.seen) g.strokeRect(x1, y1, x2 - x1, y2 - y1);
        tag(g, `${b.id}${b.score < 1 ? " " + b.score.toFixed(2) : ""}`, x1, y1, canvas.width);
      }
      g.setLineDash([]);
      dots(g, panel.points, name, k, weight);
      if (views.length > 1) tag(g, name, 0, canvas.height / 14 + 6, canvas.width, "#fff");
    }
    const now = events.filter(e => e.frame === current && e.kind !== "method");
    note.textContent = now.map(e => `${views.length > 1 ? e.panel + ", " : ""}object ${e.id}: ${e.text}`).join(" · ");
    root.dataset.frame = current;
  }
  function tag(g, text, x, y, right, shade) {
    const w = g.measureText(text).width + 6, h = parseInt(g.font) + 4, fill = shade || g.fillStyle;
    x = Math.max(0, Math.min(x, right - w)); y = Math.max(h, y);
    g.fillStyle = "#000a"; g.fillRect(x, y - h, w, h); g.fillStyle = fill; g.fillText(text, x + 3, y - 2);
  }
  function outline(g, contours, k, shade) {
    g.beginPath();
    for (const c of contours) { c.forEach(([x, y], i) => i ? g.lineTo((x + .5) * k, (y + .5) * k) : g.moveTo((x + .5) * k, (y + .5) * k)); g.closePath(); }
    g.globalAlpha = .4; g.fillStyle = shade; g.fill("evenodd"); g.globalAlpha = 1; g.strokeStyle = shade; g.stroke();
  }
  function dots(g, points, name, k, weight) {
    for (const p of points) {
      if (!p.xy || hidden.has(p.id)) continue;
      const shade = info.objects.length > 1 ? colours[p.id] : Object.values(colours)[0];
      g.strokeStyle = g.fillStyle = shade;
      g.globalAlpha = .6; g.beginPath(); g.moveTo(p.xy[0] * k, p.xy[1] * k);
      for (let f = current - 1; f >= Math.max(0, current - TRAIL); f--) {
        const before = store.known.get(f); if (!before) break;
        const q = before.panels[name].points.find(v => v.id === p.id && v.k === p.k);
        if (!q || !q.xy || !q.seen) break;
        g.lineTo(q.xy[0] * k, q.xy[1] * k);
      }
      g.stroke(); g.globalAlpha = 1;
      g.beginPath(); g.arc(p.xy[0] * k, p.xy[1] * k, 2 * weight, 0, 7); p.seen ? g.fill() : g.stroke();
    }
  }

  function go(frame) {
    if (!Number.isFinite(frame)) return;
    current = Math.min(Math.max(Math.round(frame), 0), n - 1);
    restart(); draw();
    if (!playing) { model.set("frame", current); model.save_changes(); }
  }
  function restart() { started = performance.now(); startFrame = current; }
  function toggle() {
    playing = !playing; play.textContent = playing ? "⏸" : "▶";
    if (playing) { if (current >= n - 1) current = range ? range[0] : 0; restart(); tick(); }
    else { cancelAnimationFrame(timer); model.set("frame", current); model.save_changes(); }
  }
  // The clock decides which frame is due; a frame that has not come yet holds the clock instead of being skipped.
  function tick() {
    if (!playing) return;
    timer = requestAnimationFrame(tick);
    const [first, last] = range && range[1] !== null ? range : [0, n - 1];
    let due = startFrame + Math.floor((performance.now() - started) / 1000 * info.fps * speed);
    if (due > last) { if (range && range[1] !== null) { current = first; restart(); draw(); return; } current = last; draw(); toggle(); return; }
    if (due !== current) {
      if (store.known.has(due)) current = due; else { store.want(due, AHEAD); restart(); }
      draw();
    }
  }
  function mark() {
    if (!range) range = [current, null];
    else if (range[1] === null && current > range[0]) range[1] = current;
    else range = null;
    loop.setAttribute("aria-pressed", String(!!range));
    note.textContent = !range ? "no loop" : range[1] === null ? `loop from ${range[0]} to ...` : `loop ${range[0]} to ${range[1]}`;
  }
  root.onkeydown = e => {
    if (e.target.tagName === "INPUT" && e.target.type === "number" || e.target.tagName === "SELECT") return;
    const far = e.shiftKey ? 10 : 1;
    const act = {
      " ": toggle, ArrowRight: () => go(current + far), ArrowLeft: () => go(current - far), Home: () => go(0), End: () => go(n - 1),
      l: mark, "?": () => help.click(),
      ".": () => { const e2 = events.find(v => v.frame > current); if (e2) go(e2.frame); },
      ",": () => { const e2 = events.filter(v => v.frame < current).pop(); if (e2) go(e2.frame); },
    }[e.key];
    if (!act) return;
    if (e.key === " " && e.target.tagName === "BUTTON") return;
    act(); e.preventDefault(); e.stopPropagation();
  };
  const onFrame = () => { const f = model.get("frame"); if (f !== current && !playing) { current = Math.min(Math.max(f, 0), n - 1); draw(); } };
  const onMessage = (message, buffers) => {
    if (message.do === "frames") store.take(message.overlays, buffers);
    else if (message.do === "error") note.textContent = message.text;
  };
  model.on("change:frame", onFrame);
  model.on("msg:custom", onMessage);
  store.want(current, BATCH); draw();
  return () => { playing = false; cancelAnimationFrame(timer); model.off("change:frame", onFrame); model.off("msg:custom", onMessage); store.clear(); };
}
export default { render };
