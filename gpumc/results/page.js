// Draws the pictures of a page from the numbers in it. Each picture has axes; a reader chooses for each whether it is the horizontal one,
// gives a line for each of its values, or stands at one value. Where no axis is the horizontal one, the curve's own is: sweeps, distances.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 345, LEFT = 66, RIGHT = 16, BOTTOM = 48, MOST_LINES = 7, MOST_MARKERS = 25, MOST_BARS = 16;
  const ALONG = "along", EACH = "each";
  const MARKERS = [
    "M-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0-8.4 0", "M-3.8-3.8h7.6v7.6h-7.6z", "M0-4.8l4.6 8.2h-9.2z", "M0-5.2l5.2 5.2-5.2 5.2-5.2-5.2z",
    "M0 4.8l4.6-8.2h-9.2z", "M-1.6-4.6h3.2v3h3v3.2h-3v3h-3.2v-3h-3v-3.2h3z",
    "M-4.6-2.6l2-2L0-2l2.6-2.6 2 2L2 0l2.6 2.6-2 2L0 2l-2.6 2.6-2-2L-2 0z",
  ];
  const finite = (value) => typeof value === "number" && Number.isFinite(value);

  function make(name, attributes = {}, parent = null, text = null) {
    const node = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== null) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  }

  const number = (value, digits = 5) => String(Number(value.toPrecision(digits)));
  const named = (axis, value) => (typeof value === "string" && value !== "∞" ? value : `${axis.symbol || axis.name.replaceAll("_", " ")} = ${shown(value)}`);
  const shown = (value) => (typeof value === "string" ? value : number(value));

  // 0.0123 ± 0.0004: a mean to the second digit of its error.
  function measured(mean, error) {
    if (!finite(error) || error <= 0) return number(mean);
    const digits = Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(error))));
    return `${mean.toFixed(digits)} ± ${error.toFixed(digits)}`;
  }

  // The number of an array over some axes at a place of the picture.
  function at(picture, array, key, place) {
    let index = 0;
    for (const dim of array.dims) {
      const axis = dim === picture.inner?.name ? picture.inner : picture.axes.find((one) => one.name === dim);
      if (!(dim in place)) return null;
      index = index * axis.values.length + place[dim];
    }
    return array[key][index];
  }

  // What is drawn: lines of points, and lines beside them.
  function view(picture, roles) {
    const across = picture.axes.find((axis) => roles[axis.name] === ALONG) ?? picture.inner;
    const each = picture.axes.find((axis) => roles[axis.name] === EACH);
    const array = across === picture.inner ? picture.along : picture.all;
    const fixed = picture.axes.filter((axis) => axis !== across && axis !== each);
    const base = Object.fromEntries(fixed.map((axis) => [axis.name, Number(roles[axis.name])]));
    const count = each ? each.values.length : 1;
    const chosen = new Set(Array.from({ length: Math.min(count, MOST_LINES) }, (_, i) => Math.round((i * (count - 1)) / Math.max(1, Math.min(count, MOST_LINES) - 1))));
    const lines = [], extras = [];
    for (const index of chosen) {
      const place = each ? { ...base, [each.name]: index } : base;
      const points = across.values.map((x, i) => {
        const here = { ...place, [across.name]: i };
        return { x, i, y: at(picture, array, "mean", here), e: at(picture, array, "error", here) };
      });
      lines.push({ label: each ? named(each, each.values[index]) : "", colour: lines.length, points });
    }
    for (const extra of picture.extras) {
      const own = each && extra.dims.includes(each.name);
      [...chosen].forEach((index, colour) => {
        if (colour && !own) return;
        const place = each ? { ...base, [each.name]: index } : base;
        const points = across.values.map((x, i) => ({ x, i, y: at(picture, extra, "mean", { ...place, [across.name]: i }) }));
        if (points.some((point) => finite(point.y))) extras.push({ label: extra.label, own, colour: own || extra.kind === "theory" ? colour : "neutral", kind: extra.kind, points });
      });
    }
    return { across, each, fixed, lines, extras, cut: count - chosen.size, swept: across !== picture.inner };
  }

  // Where a value lies between 0 and 1, and the values that are named.
  function horizontal(axis, swept) {
    const values = axis.values, last = values.length - 1;
    if (!values.every(finite)) {
      const place = new Map(values.map((value, i) => [value, last ? 0.05 + (0.9 * i) / last : 0.5]));
      return { of: (x) => place.get(x), ticks: values };
    }
    const low = Math.min(...values), high = Math.max(...values);
    const log = swept && low > 0 && high >= 8 * low;
    const map = log ? Math.log : (x) => x;
    const room = (map(high) - map(low)) * 0.04 || Math.abs(map(low)) * 0.5 || 0.5;
    const [from, to] = [map(low) - room, map(high) + room];
    const few = swept && values.length <= 16;
    let ticks = few ? values : steps(low, high, 6).filter((x) => x >= low && x <= high);
    if (log && !few) ticks = values.filter((_, i) => i % Math.ceil(values.length / 8) === 0);
    return { of: (x) => (map(x) - from) / (to - from), ticks };
  }

  function steps(low, high, count) {
    const raw = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((one) => one * power >= raw * 0.999);
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(Number((i * step).toPrecision(12)));
    return ticks;
  }

  function vertical(picture, seen) {
    const ends = [];
    for (const line of [...seen.lines, ...seen.extras])
      for (const { y, e } of line.points) if (finite(y)) ends.push(y - (e ?? 0), y + (e ?? 0));
    if (!ends.length) ends.push(0, 1);
    let [low, high] = [Math.min(...ends), Math.max(...ends)];
    if (picture.zero) low = Math.min(low, 0);
    if (high - low < 1e-12 * Math.max(Math.abs(high), 1e-300)) [low, high] = low ? [low - Math.abs(low) * 0.1, high + Math.abs(high) * 0.1] : [0, 1];
    const room = (high - low) * 0.06;
    const from = picture.zero && low === 0 ? -(high - low) * 0.03 : low - room;
    return { of: (y) => (y - from) / (high + room - from), ticks: steps(from, high + room, 6) };
  }

  // The label of an axis: its long name, or where there is no room for that its name.
  function words(parent, axis, room) {
    for (const label of [axis.label, axis.name.replaceAll("_", " ")]) {
      parent.replaceChildren();
      make("svg:tspan", {}, parent, label);
      if (axis.symbol) make("svg:tspan", { class: "i", dx: 5 }, parent, axis.symbol);
      if (axis.units) make("svg:tspan", { dx: 5 }, parent, `(${axis.units})`);
      if (parent.getComputedTextLength() <= room) return;
    }
  }

  class Picture {
    constructor(node, picture) {
      this.node = node;
      this.picture = picture;
      this.caption = node.querySelector("figcaption");
      this.plot = make("div", { class: "plot" }, node);
      this.hover = make("div", { class: "hover", hidden: "" }, this.plot);
      this.state = make("p", { class: "view", "aria-live": "polite" });
      this.caption.after(this.state);
      this.roles = this.first();
      this.selects = new Map();
      this.controls = make("div", { class: "controls" }, node);
      for (const axis of picture.axes) this.select(axis);
      this.walk();
      this.draw();
      new ResizeObserver(() => { if (Math.abs(this.plot.clientWidth - this.width) > 1) this.draw(); }).observe(this.plot);
    }

    // As in the standard picture: the first axis is the horizontal one, the second gives the lines, others stand at their first value.
    first() {
      const roles = Object.fromEntries(this.picture.axes.map((axis) => [axis.name, "0"]));
      const free = this.picture.axes.map((axis) => axis.name);
      if (this.picture.all && free.length) roles[free.shift()] = ALONG;
      if (free.length) roles[free[0]] = EACH;
      return roles;
    }

    select(axis) {
      const { picture } = this;
      if (!picture.inner && picture.axes.length < 2) return;
      const label = make("label", {}, this.controls);
      const text = make("span", {}, label, axis.name.replaceAll("_", " "));
      if (axis.symbol && axis.symbol !== axis.name) { text.append(" "); make("span", { class: "i" }, text, axis.symbol); }
      const select = make("select", { "data-axis": axis.name }, label);
      if (this.may(axis, ALONG)) make("option", { value: ALONG }, select, "along the axis");
      make("option", { value: EACH }, select, "a line each");
      axis.values.forEach((value, i) => make("option", { value: String(i) }, select, shown(value)));
      select.addEventListener("change", () => this.choose(axis.name, select.value));
      this.selects.set(axis.name, select);
    }

    may(axis, role) {
      return role === EACH || (role === ALONG && Boolean(this.picture.all) && axis.swept);
    }

    // At most one axis is the horizontal one, and one gives the lines: another that was makes room. A picture that has no curve of its own
    // always has a horizontal axis.
    choose(name, role) {
      const before = this.roles[name], others = this.picture.axes.filter((axis) => axis.name !== name);
      const held = (role) => Object.values(this.roles).includes(role);
      const rival = others.find((axis) => this.roles[axis.name] === role && this.may(axis, role));
      this.roles[name] = role;
      if (rival && [ALONG, EACH].includes(role)) {
        this.roles[rival.name] = "0";
        const left = [before, EACH].find((other) => this.may(rival, other) && !held(other));
        if (left) this.roles[rival.name] = left;
      }
      if (!this.picture.inner && !held(ALONG)) {
        const able = others.filter((axis) => this.may(axis, ALONG));
        this.roles[(able.find((axis) => this.roles[axis.name] === EACH) ?? able[0])?.name ?? name] = ALONG;
      }
      this.draw();
    }

    // The points one after the other, for those who do not point.
    walk() {
      const label = make("label", {}, this.controls, "point");
      this.slider = make("input", { type: "range", min: 0, value: 0 }, label);
      const show = () => this.show(this.points[Number(this.slider.value)]);
      this.slider.addEventListener("input", show);
      this.slider.addEventListener("focus", show);
      this.slider.addEventListener("blur", () => this.show(null));
    }

    draw() {
      const picture = this.picture;
      for (const [name, select] of this.selects) select.value = this.roles[name];
      this.seen = view(picture, this.roles);
      this.width = this.plot.clientWidth || 520;
      this.svg?.remove();
      this.svg = make("svg:svg", { role: "img" });
      this.plot.prepend(this.svg);
      const top = this.legend() + 8, height = Math.max(HEIGHT, top + 220);
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${height}`);
      const box = { left: LEFT, right: this.width - RIGHT, top, bottom: height - BOTTOM };
      const x = horizontal(this.seen.across, this.seen.swept), y = vertical(picture, this.seen);
      this.px = (value) => box.left + x.of(value) * (box.right - box.left);
      this.py = (value) => box.bottom - y.of(value) * (box.bottom - box.top);
      this.frame(box, x, y);
      for (const extra of this.seen.extras) this.path(extra, extra.kind);
      const bare = this.seen.lines.every((line) => line.points.length <= MOST_MARKERS);
      for (const line of this.seen.lines) this.line(line, bare);
      this.ring = make("svg:circle", { class: "ring", r: 7, visibility: "hidden" }, this.svg);
      this.points = this.seen.lines.flatMap((line) => line.points.filter((p) => finite(p.y)).map((p) => ({ ...p, line })));
      this.slider.max = Math.max(0, this.points.length - 1);
      this.slider.value = 0;
      this.slider.setAttribute("aria-valuetext", this.points.length ? this.told(this.points[0]) : "no value");
      this.hover.hidden = true;
      for (const kind of ["pointermove", "pointerdown"]) this.svg.addEventListener(kind, (event) => this.near(event));
      this.svg.addEventListener("pointerleave", () => this.show(null));
      this.describe();
    }

    frame(box, x, y) {
      const { svg, picture } = this;
      for (const tick of y.ticks) {
        const place = this.py(tick);
        make("svg:line", { class: "grid", x1: box.left, x2: box.right, y1: place, y2: place }, svg);
        make("svg:text", { x: box.left - 7, y: place + 4.5, "text-anchor": "end" }, svg, number(tick, 8));
      }
      let free = -Infinity;
      for (const tick of x.ticks) {
        const place = this.px(tick);
        make("svg:line", { class: "grid", x1: place, x2: place, y1: box.top, y2: box.bottom }, svg);
        const text = make("svg:text", { x: place, y: box.bottom + 18, "text-anchor": "middle" }, svg, shown(tick));
        const half = text.getComputedTextLength() / 2;
        if (place - half < free) text.remove();
        else free = place + half + 6;
      }
      make("svg:rect", { class: "frame", x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }, svg);
      const middle = (box.left + box.right) / 2, centre = (box.top + box.bottom) / 2;
      const below = make("svg:text", { x: middle, y: box.bottom + 39, "text-anchor": "middle" }, svg);
      words(below, this.seen.across, box.right - box.left);
      const beside = make("svg:text", { "text-anchor": "middle", transform: `translate(13 ${centre}) rotate(-90)` }, svg);
      words(beside, picture.y, box.bottom - box.top + 20);
    }

    // Entries above the plot, in as many rows as they need; gives their height.
    legend() {
      const entries = this.seen.lines.filter((line) => line.label).map((line) => ({ text: line.label, colour: line.colour, kind: this.seen.extras.some((extra) => extra.kind === "theory") ? "points" : "line" }));
      if (!entries.length && this.seen.extras.length) entries.push({ text: "results", colour: 0, kind: this.seen.extras.some((extra) => extra.kind === "theory") ? "points" : "line" });
      for (const extra of this.seen.extras)
        if (!entries.some((entry) => entry.text === extra.label)) entries.push({ text: extra.label, colour: extra.own ? "neutral" : extra.colour, kind: extra.kind });
      if (this.seen.cut) entries.push({ text: `and ${this.seen.cut} more`, kind: "" });
      let left = LEFT, top = 12;
      for (const entry of entries) {
        const group = make("svg:g", { class: this.colour(entry.colour) }, this.svg);
        const start = entry.kind ? 30 : 0;
        const text = make("svg:text", { x: start, y: 4.5 }, group, entry.text);
        const size = start + text.getComputedTextLength();
        if (left + size > this.width - RIGHT && left > LEFT) { left = LEFT; top += 20; }
        if (size > this.width - RIGHT - LEFT) { text.setAttribute("textLength", this.width - RIGHT - left - start); text.setAttribute("lengthAdjust", "spacingAndGlyphs"); }
        if (entry.kind && entry.kind !== "points") make("svg:path", { class: entry.kind, d: "M0 0H24" }, group);
        if (["line", "points"].includes(entry.kind)) make("svg:path", { class: "marker", d: MARKERS[entry.colour], transform: "translate(12 0)" }, group);
        group.setAttribute("transform", `translate(${left} ${top})`);
        left += size + 18;
      }
      return entries.length ? top + 12 : 4;
    }

    colour(index) {
      return index === "neutral" || index === undefined ? "neutral" : `c${index}`;
    }

    path(line, kind) {
      let d = "";
      line.points.forEach((p, i) => { if (finite(p.y)) d += `${finite(line.points[i - 1]?.y) ? "L" : "M"}${this.px(p.x)} ${this.py(p.y)}`; });
      make("svg:path", { class: `${kind} ${this.colour(line.colour)}`, d }, this.svg);
    }

    line(line, bare) {
      const group = make("svg:g", { class: this.colour(line.colour) }, this.svg);
      const solved = this.seen.extras.some((extra) => extra.kind === "theory" && extra.colour === line.colour);
      for (const run of runs(line.points)) {
        const upper = run.map((p) => `${this.px(p.x)} ${this.py(p.y + (p.e ?? 0))}`), lower = run.map((p) => `${this.px(p.x)} ${this.py(p.y - (p.e ?? 0))}`).reverse();
        if (run.length > 1) make("svg:path", { class: "band", d: `M${[...upper, ...lower].join("L")}Z` }, group);
        if (!solved) make("svg:path", { class: "line", d: `M${run.map((p) => `${this.px(p.x)} ${this.py(p.y)}`).join("L")}` }, group);
        if (run.length <= MOST_BARS)
          for (const p of run) if (p.e > 0) make("svg:path", { class: "bar", d: `M${this.px(p.x)} ${this.py(p.y - p.e)}V${this.py(p.y + p.e)}m-3.5 0h7M${this.px(p.x) - 3.5} ${this.py(p.y - p.e)}h7` }, group);
        if (bare) for (const p of run) make("svg:path", { class: "marker", d: MARKERS[line.colour], transform: `translate(${this.px(p.x)} ${this.py(p.y)})` }, group);
      }
    }

    told(point) {
      const where = [point.line.label, named(this.seen.across, point.x)].filter(Boolean).join(", ");
      return `${where}: ${this.picture.y.symbol || this.picture.y.label} = ${measured(point.y, point.e)}${this.picture.y.units ? ` ${this.picture.y.units}` : ""}`;
    }

    near(event) {
      const bounds = this.svg.getBoundingClientRect(), scale = this.width / bounds.width;
      const [x, y] = [(event.clientX - bounds.left) * scale, (event.clientY - bounds.top) * scale];
      const away = (p) => Math.hypot(this.px(p.x) - x, this.py(p.y) - y);
      const closest = this.points.reduce((best, p) => (best && away(best) <= away(p) ? best : p), null);
      this.show(closest && away(closest) < 60 ? closest : null);
    }

    show(point) {
      this.hover.hidden = !point;
      this.ring.setAttribute("visibility", point ? "visible" : "hidden");
      if (!point) return;
      const [x, y] = [this.px(point.x), this.py(point.y)];
      this.ring.setAttribute("cx", x);
      this.ring.setAttribute("cy", y);
      this.hover.textContent = this.told(point);
      this.slider.value = this.points.indexOf(point);
      this.slider.setAttribute("aria-valuetext", this.told(point));
      const scale = this.plot.clientWidth / this.width, size = this.hover.offsetWidth;
      this.hover.style.left = `${Math.max(0, Math.min(x * scale - size / 2, this.plot.clientWidth - size))}px`;
      this.hover.style.top = `${y * scale + (y > 70 ? -44 : 16)}px`;
    }

    describe() {
      const { across, each, fixed, lines, cut } = this.seen, { picture } = this;
      const parts = [`against ${across.label}`];
      if (each) parts.push(`a line for each ${each.label}${cut ? ` (${lines.length} of ${each.values.length})` : ""}`);
      for (const axis of fixed) parts.push(named(axis, axis.values[Number(this.roles[axis.name])]));
      if (picture.over && across !== picture.inner) parts.push(picture.over);
      if (picture.note) parts.push(picture.note);
      const bars = across.name === "instance" ? picture.runs : picture.bars;
      if (bars) parts.push(`bands: standard error over ${bars}s`);
      this.state.textContent = parts.join("; ");
      const values = this.points.map((p) => p.y);
      const range = values.length ? ` Values from ${number(Math.min(...values))} to ${number(Math.max(...values))}.` : " There are no values.";
      this.svg.setAttribute("aria-label", `${picture.title}, ${parts.join("; ")}.${range}`);
    }
  }

  // Neighbouring points that have a value.
  function runs(points) {
    const found = [[]];
    for (const point of points) {
      if (finite(point.y)) found.at(-1).push(point);
      else if (found.at(-1).length) found.push([]);
    }
    return found.filter((run) => run.length);
  }

  const pictures = JSON.parse(document.getElementById("numbers").textContent);
  for (const node of document.querySelectorAll("figure")) new Picture(node, pictures[Number(node.dataset.picture)]);
})();
