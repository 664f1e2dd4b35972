// Player: frames come as JPEG pictures on demand; overlays are drawn here from track data, one canvas for each panel.
// Needs parts and link.
const BATCH = 16, KEEP = 120, AHEAD = 32, TRAIL = 15;

function element(tag, properties = {}, ...children) { // `make` sets attributes, this sets properties
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    name in node && name !== "list" ? (node[name] = value) : node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Pictures and overlays of frames: the newest KEEP are kept, requests are never sent twice. Few are on their way at a
// time, so that scrubbing does not queue up frames that nobody waits for.
class Store {
  constructor(link, count, changed) {
    this.link = link; this.count = count; this.changed = changed;
    this.known = new Map(); this.asked = new Set();
  }
  get(frame) {
    const found = this.known.get(frame);
    if (found) { this.known.delete(frame); this.known.set(frame, found); }
    return found;
  }
  want(first, n) {
    if (this.asked.size > (n > 1 ? BATCH : 0)) return;
    const missing = [];
    for (let i = first; i < Math.min(first + n, this.count) && missing.length < BATCH; i++)
      if (!this.known.has(i) && !this.asked.has(i)) missing.push(i);
    if (!missing.length) return;
    missing.forEach(i => this.asked.add(i));
    this.link.post({ do: "frames", frames: missing });
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
  failed() { this.asked.clear(); }
  clear() { for (const v of this.known.values()) v.picture.close(); this.known.clear(); this.asked.clear(); }
}

function render({ model, el }) {
  const info = model.get("info"), n = info.frames;
  const colours = Object.fromEntries(info.objects.map(o => [o.id, o.colour]));
  const labels = Object.fromEntries(info.objects.map(o => [o.id, o.label]));
  const hidden = new Set();
  let current = Math.min(Math.max(model.get("frame"), 0), n - 1), drawn = -1, playing = false, speed = 1, range = null;
  let started = 0, startFrame = 0, timer = 0;

  const root = element("div", { className: "vt-player", tabIndex: 0 });
  root.dataset.lmSuppressShortcuts = "true";
  const columns = info.panels.length <= 3 ? info.panels.length : Math.ceil(Math.sqrt(info.panels.length));
  const panels = element("div", { className: "vt-panels", style: `grid-template-columns: repeat(${columns}, 1fr)` });
  const views = info.panels.map(name => {
    const canvas = element("canvas", { className: "vt-panel", width: Math.round(info.width * info.scale), height: Math.round(info.height * info.scale), style: `aspect-ratio: ${info.width} / ${info.height}` });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `video with the tracks of ${name}`);
    panels.append(canvas);
    return { name, canvas, g: canvas.getContext("2d") };
  });

  const button = (text, title, act) => element("button", { textContent: text, title, ariaLabel: title, onclick: act, type: "button" });
  const play = button("▶", "play or pause (space)", () => toggle());
  const back = button("‹", "one frame back (left)", () => go(current - 1));
  const next = button("›", "one frame on (right)", () => go(current + 1));
  const slider = element("input", { type: "range", min: 0, max: n - 1, value: current, oninput: () => go(+slider.value) });
  slider.setAttribute("aria-label", "frame");
  const number = element("input", { type: "number", min: 0, max: n - 1, value: current, onchange: () => go(+number.value) });
  number.onkeydown = e => { if (e.key === "Enter") { go(+number.value); root.focus({ preventScroll: true }); e.stopPropagation(); } }; // JupyterLab swallows the change
  number.setAttribute("aria-label", "frame number");
  const rate = element("select", { title: "speed ([ and ])", ariaLabel: "speed ([ and ])", onchange: () => { speed = +rate.value; restart(); } },
    ...[0.1, 0.25, 0.5, 1, 2, 4].map(v => element("option", { value: v, textContent: `${v}×`, selected: v === 1 })));
  const loop = button("⟲", "loop: once for the start here, again for the end here, again to stop looping (l)", () => mark());
  const help = button("?", "keys (?)", () => { keys.hidden = !keys.hidden; });
  const time = element("span", { className: "vt-time" });
  const keys = element("div", { className: "vt-help", hidden: true, textContent:
    "space play/pause · ← → one frame · shift ← → ten frames · Home End · j frame by number · l loop from/to/off · , . previous or next event · [ ] slower, faster · 1 … 9, 0 (and with shift, from the 11th on) show or hide an object · ? this\n" +
    "Timeline: height = score, brightness = overlap with the truth, gap = absent; marks = lost, found, switched, corrected, left. Click to go there." });
  const note = element("div", { className: "vt-note" });
  note.setAttribute("role", "status");
  const objects = element("div", { className: "vt-objects" });
  for (const [i, o] of info.objects.entries()) {
    const chip = element("button", { type: "button", title: `show or hide this object${i < 20 ? ` (${i < 10 ? "" : "shift "}${(i + 1) % 10})` : ""}` },
      element("span", { className: "vt-dot", style: `background: ${o.colour}` }), `${o.id} ${o.label}`.trim());
    chip.setAttribute("aria-pressed", "true");
    chip.onclick = () => {
      hidden.has(o.id) ? hidden.delete(o.id) : hidden.add(o.id);
      chip.setAttribute("aria-pressed", String(!hidden.has(o.id)));
      drawn = -1; draw();
    };
    objects.append(chip);
  }
  const lines = element("div", { className: "vt-lines" });
  root.append(panels, element("div", { className: "vt-bar" }, back, play, next, slider, number, rate, loop, help, time), keys, objects, lines, note);
  el.append(root);

  const link = new Link(model, root), store = new Store(link, n, () => draw());
  panels.append(link.notice);
  link.back = () => { store.failed(); draw(); }; // what was asked for meanwhile is asked again
  const cursor = element("div", { className: "vt-cursor" });
  lines.append(cursor);
  const events = [];
  // Only rows that are in sight are painted: hundreds of objects would take as many megabytes.
  const rowOf = new Map(), sight = new IntersectionObserver(found => {
    for (const { target, isIntersecting } of found) isIntersecting ? paint(target, rowOf.get(target)) : (target.width = 0);
  });
  for (const panel of info.panels) for (const line of info.timelines[panel]) {
    const canvas = element("canvas", { width: 0, height: 40, ariaHidden: "true" });
    const label = info.panels.length > 1 ? `${panel} · ${line.id}` : `${line.id} ${(info.objects.find(o => o.id === line.id) || {}).label || ""}`;
    lines.append(element("div", { className: "vt-line" }, element("span", { textContent: label, title: label }), canvas));
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
    rowOf.set(canvas, line);
    sight.observe(canvas);
  }
  events.sort((a, b) => a.frame - b.frame);

  // One row: height of the bar = score, brightness = overlap with truth (or full), marks = events.
  function paint(canvas, line) {
    canvas.width = 1200; // clears it
    const g = canvas.getContext("2d"), w = canvas.width, h = canvas.height, x = k => Math.round((k * w) / info.bins);
    g.fillStyle = "#8883"; g.fillRect(0, h - 3, w, 3);
    for (let k = 0; k < info.bins; k++) {
      if (line.present[k] === null) continue;
      g.globalAlpha = line.overlap ? 0.15 + 0.85 * (line.overlap[k] ?? 0) : 0.9;
      g.fillStyle = line.present[k] > 0 ? colours[line.id] : "#888";
      const high = line.present[k] > 0 ? Math.max(0.15, line.score[k] ?? 1) * (h - 8) : 4;
      g.fillRect(x(k), h - high, x(k + 1) - x(k), high);
    }
    g.globalAlpha = 1;
    const shade = { lost: "#d55e00", found: "#009e73", switched: "#cc79a7", corrected: "#0072b2", left: "#d55e00" };
    for (const e of line.events) {
      if (e.kind === "method") continue;
      const at = (e.frame + 0.5) / n * w;
      g.fillStyle = shade[e.kind] || "#777";
      g.beginPath(); g.moveTo(at - 6, 0); g.lineTo(at + 6, 0); g.lineTo(at, 9); g.fill();
    }
  }

  function draw() {
    slider.value = current;
    if (document.activeElement !== number) number.value = current;
    cursor.style.setProperty("--vt-at", (current + 0.5) / n);
    const s = current / info.fps;
    time.textContent = `${Math.floor(s / 60)}:${(s % 60).toFixed(2).padStart(5, "0")} · ${current}/${n - 1}`;
    const item = store.get(current);
    if (!playing || !store.known.has(Math.min(current + AHEAD, n - 1))) store.want(current, playing ? AHEAD : 1);
    if (!item) { store.want(current, 1); return; }
    if (drawn === current) return;
    drawn = current;
    for (const { name, canvas, g } of views) {
      g.drawImage(item.picture, 0, 0, canvas.width, canvas.height);
      const k = canvas.width / info.width, ratio = window.devicePixelRatio || 1, weight = 2 * ratio;
      g.lineWidth = weight; g.font = `600 ${12 * ratio}px system-ui, sans-serif`; g.textBaseline = "bottom";
      g.strokeStyle = "#fff"; g.setLineDash([]);
      for (const b of item.truth) if (b) g.strokeRect(b[0] * k, b[1] * k, (b[2] - b[0]) * k, (b[3] - b[1]) * k);
      const panel = item.panels[name];
      for (const m of panel.outlines) if (!hidden.has(m.id)) outline(g, m.lines, k, colours[m.id]);
      const masked = new Set(panel.outlines.map(m => m.id)), dotted = new Set(panel.points.map(p => p.id));
      for (const b of panel.boxes) {
        if (!b.box || hidden.has(b.id) || dotted.has(b.id)) continue;
        const [x1, y1, x2, y2] = b.box.map(v => v * k);
        g.strokeStyle = g.fillStyle = colours[b.id];
        g.setLineDash(b.seen ? [] : [5 * ratio, 5 * ratio]);
        if (!masked.has(b.id) || !b.seen) g.strokeRect(x1, y1, x2 - x1, y2 - y1);
        if (dashes(b.id).length) { g.setLineDash(dashes(b.id).map(v => v * ratio)); g.strokeStyle = dashColour(b.id); g.strokeRect(x1, y1, x2 - x1, y2 - y1); }
        tag(g, caption(b), x1, y1, canvas.width, colours[b.id], ratio);
      }
      g.setLineDash([]);
      dots(g, panel, name, k, weight, canvas.width);
      if (views.length > 1) tag(g, name, 0, 0, canvas.width, "#fff", ratio);
    }
    const now = events.filter(e => e.frame === current && e.kind !== "method");
    note.textContent = now.map(e => `${views.length > 1 ? e.panel + ", " : ""}object ${e.id}: ${e.text}`).join(" · ");
    root.dataset.frame = current;
  }
  function caption({ id, score }) { return [id, labels[id], score < 1 ? score.toFixed(2) : ""].filter(Boolean).join(" "); }
  function tag(g, text, x, y, right, shade, ratio) {
    g.save();
    const w = g.measureText(text).width + 14 * ratio, h = 16 * ratio;
    words(g, text, Math.max(1, Math.min(x, right - w)), Math.max(h, y) - h / 2, shade, 12 * ratio);
    g.restore();
  }
  function outline(g, contours, k, shade) {
    g.beginPath();
    for (const c of contours) { c.forEach(([x, y], i) => i ? g.lineTo((x + .5) * k, (y + .5) * k) : g.moveTo((x + .5) * k, (y + .5) * k)); g.closePath(); }
    g.globalAlpha = .4; g.fillStyle = shade; g.fill("evenodd"); g.globalAlpha = 1; g.strokeStyle = shade; g.stroke();
  }
  function dots(g, { points, boxes }, name, k, weight, right) {
    const rows = new Map(boxes.map(b => [b.id, b])), named = new Set(), few = new Set(points.map(p => p.id)).size <= 50;
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
      if (!named.has(p.id)) {
        named.add(p.id);
        const edges = info.edges[name][p.id];
        if (edges) joined(g, points.filter(q => q.id === p.id), edges, k);
        if (few) tag(g, caption(rows.get(p.id) ?? { id: p.id, score: 1 }), p.xy[0] * k + 8, p.xy[1] * k - 6, right, shade, weight / 2);
        g.fillStyle = shade;
      }
    }
  }
  function joined(g, points, edges, k) { // polygons, polylines, skeletons, oriented boxes
    for (const [a, b] of edges) {
      const p = points.find(q => q.k === a), q = points.find(r => r.k === b);
      if (!p?.xy || !q?.xy) continue;
      g.beginPath(); g.moveTo(p.xy[0] * k, p.xy[1] * k); g.lineTo(q.xy[0] * k, q.xy[1] * k); g.stroke();
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
  function pace(by) {
    rate.selectedIndex = Math.min(Math.max(rate.selectedIndex + by, 0), rate.length - 1);
    rate.onchange();
  }
  function mark() {
    if (!range) range = [current, null];
    else if (range[1] === null && current > range[0]) range[1] = current;
    else range = null;
    loop.setAttribute("aria-pressed", String(!!range));
    note.textContent = !range ? "no loop" : range[1] === null ? `loop from ${range[0]} to ...` : `loop ${range[0]} to ${range[1]}`;
  }
  function nth(e) { // 1 to 9 are the first nine objects, 0 is the tenth; with Shift the ten after them
    const digit = /^Digit(\d)$/.exec(e.code)?.[1];
    return digit && objects.children[(+digit || 10) - 1 + (e.shiftKey ? 10 : 0)];
  }
  root.onkeydown = e => {
    if (e.target.tagName === "INPUT" && e.target.type === "number" || e.target.tagName === "SELECT") return;
    const far = e.shiftKey ? 10 : 1;
    const act = {
      " ": toggle, ArrowRight: () => go(current + far), ArrowLeft: () => go(current - far), Home: () => go(0), End: () => go(n - 1),
      l: mark, "?": () => help.click(), j: () => { number.focus(); number.select(); },
      "[": () => pace(-1), "]": () => pace(1),
      ...(nth(e) ? { [e.key]: () => nth(e).click() } : {}),
      ".": () => { const e2 = events.find(v => v.frame > current); if (e2) go(e2.frame); },
      ",": () => { const e2 = events.filter(v => v.frame < current).pop(); if (e2) go(e2.frame); },
    }[e.key];
    if (!act) return;
    if (e.key === " " && e.target.tagName === "BUTTON") return;
    act(); e.preventDefault(); e.stopPropagation();
  };
  const onFrame = () => { const f = model.get("frame"); if (f !== current && !playing) { current = Math.min(Math.max(f, 0), n - 1); draw(); } };
  const onMessage = (message, buffers) => {
    link.alive();
    if (message.do === "frames") store.take(message.overlays, buffers);
    else if (message.do === "error") { store.failed(); note.textContent = message.text; }
  };
  const observer = new ResizeObserver(() => { // overlays are as sharp as the screen
    for (const { canvas } of views) {
      const ratio = window.devicePixelRatio || 1, w = Math.round(canvas.clientWidth * ratio), h = Math.round(canvas.clientHeight * ratio);
      if (w && h && (w !== canvas.width || h !== canvas.height)) { canvas.width = w; canvas.height = h; drawn = -1; }
    }
    draw();
  });
  for (const { canvas } of views) observer.observe(canvas);
  model.on("change:frame", onFrame);
  model.on("msg:custom", onMessage);
  draw();
  return () => { playing = false; link.dispose(); observer.disconnect(); sight.disconnect(); cancelAnimationFrame(timer); model.off("change:frame", onFrame); model.off("msg:custom", onMessage); store.clear(); };
}
export default { render };
