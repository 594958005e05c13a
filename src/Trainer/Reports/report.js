"use strict";
// Draws the charts of the page from the JSON in its figures (see ChartData.cs), as SVG, and makes them answer to mouse, finger and keyboard.
(() => {
  const colours = 8, listed = 12, hidden = new Set(), charts = [];
  const margin = { left: 58, right: 24, top: 10, bottom: 40 };
  const escape = text => text.replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
  const finite = v => v !== null && isFinite(v);
  const short = v => !finite(v) ? "–"
    : v !== 0 && (Math.abs(v) >= 1e6 || Math.abs(v) < 1e-3) ? v.toExponential(3) : Number.isInteger(v) ? String(v) : v.toPrecision(5);
  const place = v => Number.isInteger(v) ? v.toLocaleString("en-US") : finite(v) && Math.abs(v) >= 1e-3 ? String(+v.toPrecision(5)) : short(v);
  const element = (parent, tag, className) => {
    const made = document.createElement(tag);
    made.className = className;
    return parent.appendChild(made);
  };

  // An axis maps values to [0, 1] and knows where its ticks are.
  function axis(low, high, log, count) {
    const f = log ? Math.log10 : v => v, a = f(low), b = f(high);
    const ticks = [];
    let text = place;
    if (log && b - a > 0.7) {
      const every = Math.ceil((b - a) / count), within = b - a < 2 ? [1, 2, 5] : [1];
      for (let e = Math.floor(a); e <= b; e += every)
        for (const m of within)
          ticks.push(m * 10 ** e);
    } else {
      const raw = (high - low) / count, unit = 10 ** Math.floor(Math.log10(raw));
      const step = unit * [1, 2, 5, 10].find(m => m * unit >= raw * 0.999);
      const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
      for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++)
        ticks.push(i * step + 0); // never -0
      if (Math.max(Math.abs(low), Math.abs(high)) >= 1e-3)
        text = v => v.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
      else
        text = v => v === 0 ? "0" : v.toExponential(Math.max(0, Math.round(Math.floor(Math.log10(Math.abs(v))) + digits))).replace("e-", "e−");
    }
    const at = v => (f(v) - a) / (b - a), from = t => log ? 10 ** (a + t * (b - a)) : a + t * (b - a);
    return { at, from, text, ticks: ticks.filter(t => at(t) > -1e-6 && at(t) < 1 + 1e-6) };
  }

  // Where a value stands, or would, in a growing list.
  function nearest(xs, x) {
    let low = 0, high = xs.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] < x) low = middle; else high = middle;
    }
    return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
  }

  // A few outliers must not flatten all else: beyond twice the spread of the middle 96 % the range ends, and the chart says so.
  function range(values, log) {
    const sorted = Float64Array.from(values.map(v => log ? Math.log10(v) : v)).sort(), n = sorted.length;
    if (n === 0) return null;
    let low = sorted[0], high = sorted[n - 1];
    if (n > 50) {
      const a = sorted[Math.floor(n * 0.02)], b = sorted[Math.ceil(n * 0.98) - 1], spread = b - a;
      if (spread > 0 && high > b + 2 * spread) high = b + spread / 4;
      if (spread > 0 && low < a - 2 * spread) low = a - spread / 4;
    }
    return log ? [10 ** low, 10 ** high] : [low, high];
  }

  // Room around the values; a constant gets some, too.
  function padded([low, high], log) {
    if (log) return low === high ? [low / 2, high * 2] : [low / (high / low) ** 0.04, high * (high / low) ** 0.04];
    const room = high > low ? (high - low) * 0.05 : Math.abs(high) * 0.05 || 1;
    return [low >= 0 && low - room < 0 ? 0 : low - room, high + room];
  }

  // An exponential moving average, divided by what its weights sum to, so that its beginning is not drawn to 0.
  function average(values, weight, per) {
    const keep = weight ** per;
    let sum = 0, weights = 0;
    return values.map(v => {
      if (!finite(v)) return null;
      sum = keep * sum + (1 - keep) * v;
      weights = keep * weights + (1 - keep);
      return sum / weights;
    });
  }

  class Chart {
    constructor(figure) {
      const data = this.data = JSON.parse(figure.querySelector("script").textContent);
      this.zoom = null;
      this.all = false;
      this.cursor = null;
      for (const s of data.series) {
        if (!Array.isArray(s.x)) s.x = s.y.map((_, i) => s.x.from + i * s.x.by);
        s.line = s.k === "line";
      }
      this.scatter = data.series.some(s => !s.line);
      const head = element(figure, "div", "tools");
      figure.insertBefore(head, figure.querySelector("script"));
      this.legend(element(head, "div", "legend"));
      if (data.smooth) this.slider(head);
      this.plot = element(figure, "div", "plot");
      figure.insertBefore(this.plot, head.nextSibling);
      this.svg = this.plot.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
      this.svg.setAttribute("tabindex", "0");
      this.svg.setAttribute("role", "group");
      this.svg.setAttribute("aria-label", `Chart: ${data.title}. Arrow keys read its values, plus zooms in, 0 shows all.`);
      this.off = element(this.plot, "button", "off");
      this.off.type = "button";
      this.off.onclick = () => { this.all = !this.all; this.draw(); };
      this.tip = element(this.plot, "div", "tip");
      this.tip.setAttribute("role", "status");
      this.listen();
      new ResizeObserver(() => { if (this.plot.clientWidth !== this.width) this.draw(); }).observe(this.plot);
    }

    legend(place) {
      const groups = new Map(this.data.series.map(s => [s.g, s]));
      if (groups.size < 2) return;
      this.buttons = [...groups].map(([group, s]) => {
        const button = element(place, "button", `c${s.c % colours}${s.c >= colours ? " dashed" : ""}`);
        button.type = "button";
        button.title = "Click: show or hide. Shift-click: show only this one.";
        button.textContent = group;
        button.onclick = event => {
          if (event.shiftKey) {
            const only = [...groups.keys()].every(g => hidden.has(g) !== (g === group));
            for (const g of groups.keys()) if (only || g === group) hidden.delete(g); else hidden.add(g);
          } else if (!hidden.delete(group)) hidden.add(group);
          for (const chart of charts) chart.draw();
        };
        return [group, button];
      });
    }

    // The slider goes over the length of the average's memory, from none to a tenth of the series, in equal ratios.
    slider(place) {
      const points = Math.max(2, ...this.data.series.map(s => s.my ? s.my.length * s.per : s.y.length));
      const label = element(place, "label", "smooth"), input = document.createElement("input");
      label.append("smoothing ", input);
      Object.assign(input, { type: "range", min: 0, max: 100, value: 60 });
      const changed = () => {
        const memory = (points / 10) ** (input.value / 100);
        const weight = input.value === "0" ? 0 : Math.max(0, 1 - 1 / memory);
        for (const s of this.data.series) {
          s.sx = weight > 0 && s.line ? s.mx || s.x : null;
          s.sy = s.sx && average(s.my || s.y, weight, s.per || 1);
        }
      };
      input.oninput = () => { changed(); this.draw(); };
      changed();
    }

    drawn() { return this.data.series.filter(s => !hidden.has(s.g)); }

    draw(width = this.plot.clientWidth) {
      this.width = width;
      if (width === 0) return;
      const { data } = this, height = Math.round(Math.min(330, Math.max(230, width * 0.52)));
      const w = this.w = width - margin.left - margin.right, h = this.h = height - margin.top - margin.bottom;
      const series = this.drawn(), okX = v => !data.xlog || v > 0, okY = v => finite(v) && (!data.ylog || v > 0);
      const xs = this.zoom || extent(data.series.flatMap(s => s.x.filter(okX)), this.scatter || data.series.some(s => s.e), data.xlog);
      const values = [];
      for (const s of series)
        for (let i = 0; i < s.y.length; i++)
          if (okY(s.y[i]) && s.x[i] >= xs[0] && s.x[i] <= xs[1]) {
            values.push(s.y[i]);
            if (s.e && s.e[i] && okY(s.y[i] - s.e[i])) values.push(s.y[i] - s.e[i], s.y[i] + s.e[i]);
          }
      const full = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
      const fit = range(values, data.ylog) || [data.ylog ? 0.1 : 0, 1], ys = padded(this.all && values.length ? full : fit, data.ylog);
      const out = values.filter(v => v < fit[0] || v > fit[1]).length;
      this.off.hidden = out === 0;
      this.off.textContent = this.all ? "hide outliers" : `${out} ${out === 1 ? "point" : "points"} off scale: show`;
      const ax = this.ax = axis(xs[0], xs[1], data.xlog, Math.max(2, w / 75)), ay = this.ay = axis(ys[0], ys[1], data.ylog, 6);
      this.sx = v => ax.at(v) * w;
      this.sy = v => (1 - ay.at(v)) * h;
      let grid = "";
      for (const t of ay.ticks)
        grid += `<path d="M0 ${this.sy(t).toFixed(1)}H${w}"/><text x="-8" y="${(this.sy(t) + 4).toFixed(1)}" text-anchor="end">${ay.text(t)}</text>`;
      for (const t of ax.ticks)
        grid += `<path d="M${this.sx(t).toFixed(1)} ${h}v5"/><text x="${this.sx(t).toFixed(1)}" y="${h + 18}" text-anchor="middle">${ax.text(t)}</text>`;
      const layer = of => series.map(s => `<g class="c${s.c % colours}">${of(s)}</g>`).join("");
      const lines = layer(s => s.sy ? `<path class="pale" d="${this.path(s.x, s.y, okX, okY)}"/>` : "") + layer(s => this.shape(s, okX, okY));
      this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.svg.innerHTML = `<g transform="translate(${margin.left} ${margin.top})"><g class="grid">${grid}</g>`
        + `<path class="base" d="M0 ${h}H${w}"/><text class="label" x="${w / 2}" y="${h + 36}" text-anchor="middle">${escape(data.x)}</text>`
        + `<text class="label" transform="translate(${-margin.left + 12} ${h / 2}) rotate(-90)" text-anchor="middle">${escape(data.y)}</text>`
        + (values.length ? "" : `<text x="${w / 2}" y="${h / 2}" text-anchor="middle">no values to draw</text>`)
        + `<svg width="${w}" height="${h}" overflow="hidden">${lines}<rect class="drag" y="0" height="${h}" width="0"/></svg><g class="cursor"></g></g>`;
      this.cross = this.svg.querySelector(".cursor");
      this.drag = this.svg.querySelector(".drag");
      for (const [group, button] of this.buttons || []) button.setAttribute("aria-pressed", !hidden.has(group));
      if (this.cursor !== null) this.read(this.cursor);
    }

    shape(s, okX, okY) {
      if (s.line) {
        const style = s.d || s.c >= colours ? " dashed" : "", line = this.path(s.sx || s.x, s.sy || s.y, okX, okY);
        return `<path class="line${style}" d="${line}"/>` + (s.sy ? "" : this.bars(s, okX, okY));
      }
      let marks = this.bars(s, okX, okY);
      for (let i = 0; i < s.x.length; i++)
        if (okX(s.x[i]) && okY(s.y[i]))
          marks += `<circle class="mark" r="4" cx="${this.sx(s.x[i]).toFixed(1)}" cy="${this.sy(s.y[i]).toFixed(1)}"/>`;
      return marks;
    }

    bars(s, okX, okY) {
      let bars = "";
      for (let i = 0; s.e && i < s.x.length; i++) {
        if (!okX(s.x[i]) || !okY(s.y[i]) || !s.e[i]) continue;
        const x = this.sx(s.x[i]), low = s.y[i] - s.e[i], a = okY(low) ? this.sy(low) : this.h, b = this.sy(s.y[i] + s.e[i]);
        bars += `M${(x - 3).toFixed(1)} ${a.toFixed(1)}h6m-3 0V${b.toFixed(1)}m-3 0h6`;
      }
      return bars && `<path class="bar" d="${bars}"/>`;
    }

    // Many points share a column of pixels: its first, lowest, highest and last one draw the same.
    path(xs, ys, okX, okY) {
      let d = "", pen = "M", column = null, points = [];
      const put = ([x, y]) => { d += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`; pen = "L"; };
      const flush = () => {
        if (points.length > 4) {
          let low = 0, high = 0;
          points.forEach((p, i) => { if (p[1] < points[low][1]) low = i; if (p[1] > points[high][1]) high = i; });
          [...new Set([0, Math.min(low, high), Math.max(low, high), points.length - 1])].forEach(i => put(points[i]));
        } else points.forEach(put);
        points = [];
      };
      const alone = i => !(i > 0 && okY(ys[i - 1])) && !(i + 1 < ys.length && okY(ys[i + 1]));
      for (let i = 0; i < xs.length; i++) {
        if (!okX(xs[i]) || !okY(ys[i])) { flush(); pen = "M"; column = null; continue; }
        const x = this.sx(xs[i]), y = Math.max(-1e4, Math.min(1e4, this.sy(ys[i])));
        if (xs.length > 1 && ((i + 1 < xs.length && this.sx(xs[i + 1]) < -1) || (i > 0 && this.sx(xs[i - 1]) > this.w + 1))) continue;
        if (Math.round(x) !== column) { flush(); column = Math.round(x); }
        // A point between two gaps would be a line without length.
        if (alone(i)) points.push([x - 2.5, y], [x + 2.5, y]); else points.push([x, y]);
      }
      flush();
      return d;
    }

    // Shows the values at an x; with the pointer's place, those near it when they are many.
    read(x, px, py) {
      const series = this.drawn(), rows = [];
      let point = null;
      if (this.scatter && px !== undefined) {
        let best = 1600;
        for (const s of series.filter(s => !s.line))
          for (let i = 0; i < s.x.length; i++) {
            const far = finite(s.y[i]) ? (this.sx(s.x[i]) - px) ** 2 + (this.sy(s.y[i]) - py) ** 2 : Infinity;
            if (far < best) [best, point] = [far, [s, i]];
          }
        if (point) x = point[0].x[point[1]];
      } else {
        const xs = series.filter(s => s.x.length).map(s => s.x[nearest(s.x, x)]);
        if (xs.length) x = xs.reduce((a, b) => Math.abs(b - x) < Math.abs(a - x) ? b : a);
      }
      for (const s of series) {
        if (point && !s.line && s !== point[0]) continue;
        const sx = s.sy ? s.sx : s.x, sy = s.sy || s.y;
        if (!sx.length) continue;
        const i = point && s === point[0] ? point[1] : nearest(sx, x);
        const step = sx.length > 1 ? Math.abs(sx[Math.min(i + 1, sx.length - 1)] - sx[Math.max(i - 1, 0)]) / 2 : 0;
        if (Math.abs(sx[i] - x) > step && Math.abs(this.sx(sx[i]) - this.sx(x)) > 3) continue;
        rows.push({ s, x: sx[i], y: sy[i], e: s.e && s.e[i] });
      }
      this.cursor = x;
      const key = r => finite(r.y) ? -r.y : Infinity;
      let shown = rows.sort((a, b) => key(a) - key(b));
      if (rows.length > listed) {
        const far = r => finite(r.y) ? Math.abs(this.sy(r.y) - (py === undefined ? 0 : py)) : Infinity;
        shown = [...rows].sort((a, b) => far(a) - far(b)).slice(0, listed).sort((a, b) => key(a) - key(b));
      }
      const at = this.sx(x);
      this.cross.innerHTML = `<path d="M${at.toFixed(1)} 0V${this.h}"/>` + shown.filter(r => finite(r.y) && this.sy(r.y) >= 0 && this.sy(r.y) <= this.h)
        .map(r => `<circle class="c${r.s.c % colours}" r="4" cx="${this.sx(r.x).toFixed(1)}" cy="${this.sy(r.y).toFixed(1)}"/>`).join("");
      const error = r => r.e ? ` ± ${+r.e.toPrecision(2)}` : "";
      const row = r => `<tr class="c${r.s.c % colours}"><td>${escape(r.s.n)}</td><td>${short(r.y)}${error(r)}</td></tr>`;
      this.tip.innerHTML = `<b>${escape(this.data.x)} ${place(x)}</b><table>${shown.map(row).join("")}`
        + `</table>${rows.length > shown.length ? `<i>and ${rows.length - shown.length} more</i>` : ""}`;
      this.tip.hidden = rows.length === 0;
      const scale = this.plot.clientWidth / this.width, left = (at + margin.left) * scale, room = this.plot.clientWidth - this.tip.offsetWidth;
      this.tip.style.left = `${Math.max(0, Math.min(room, left > this.plot.clientWidth / 2 ? left - this.tip.offsetWidth - 14 : left + 14))}px`;
      for (const other of charts)
        if (other !== this && other.cross && other.data.x === this.data.x) other.follow(x);
    }

    // Another chart of the same axis is being read.
    follow(x) {
      const at = this.sx(x);
      this.cross.innerHTML = at >= 0 && at <= this.w ? `<path d="M${at.toFixed(1)} 0V${this.h}"/>` : "";
    }

    leave() {
      this.cursor = null;
      this.tip.hidden = true;
      for (const chart of charts)
        if (chart.cross && chart.data.x === this.data.x) chart.cross.innerHTML = "";
    }

    set(zoom) { this.zoom = zoom; this.draw(); }

    listen() {
      const { svg } = this;
      let from = null;
      this.tip.hidden = true;
      const where = event => {
        const box = svg.getBoundingClientRect(), scale = this.width / box.width;
        return [Math.max(0, Math.min(this.w, (event.clientX - box.left) * scale - margin.left)), (event.clientY - box.top) * scale - margin.top];
      };
      svg.onpointermove = event => {
        const [px, py] = where(event);
        if (from !== null) {
          this.drag.setAttribute("x", Math.min(from, px));
          this.drag.setAttribute("width", Math.abs(px - from));
        }
        this.read(this.ax.from(px / this.w), px, py);
      };
      svg.onpointerdown = event => {
        if (event.pointerType !== "mouse" || event.button !== 0) return;
        [from] = where(event);
        svg.setPointerCapture(event.pointerId);
      };
      svg.onpointerup = event => {
        if (from === null) return;
        const [to] = where(event), [a, b] = [Math.min(from, to), Math.max(from, to)];
        from = null;
        if (b - a > 6) this.set([this.ax.from(a / this.w), this.ax.from(b / this.w)]);
      };
      svg.onpointercancel = () => { from = null; this.draw(); };
      svg.onpointerleave = () => { if (from === null) this.leave(); };
      svg.onblur = () => this.leave();
      svg.ondblclick = () => { this.all = false; this.set(null); };
      svg.onkeydown = event => {
        const longest = this.drawn().reduce((a, b) => b.x.length > (a ? a.x.length : 0) ? b : a, null);
        if (!longest || event.ctrlKey || event.metaKey || event.altKey) return;
        const xs = longest.line ? longest.x : [...longest.x].sort((a, b) => a - b), by = event.shiftKey ? 10 : 1;
        const here = this.cursor === null ? -1 : nearest(xs, this.cursor), [low, high] = this.zoom || [this.ax.from(0), this.ax.from(1)];
        const keys = {
          ArrowRight: () => this.read(xs[Math.min(xs.length - 1, here + by)]),
          ArrowLeft: () => this.read(xs[here < 0 ? xs.length - 1 : Math.max(0, here - by)]),
          Home: () => this.read(xs[0]),
          End: () => this.read(xs[xs.length - 1]),
          Escape: () => this.leave(),
          0: () => svg.ondblclick(),
          "-": () => svg.ondblclick(),
          "+": () => {
            const middle = this.ax.at(this.cursor === null ? this.ax.from(0.5) : this.cursor);
            this.set(high > low ? [this.ax.from(Math.max(0, middle - 0.25)), this.ax.from(Math.min(1, middle + 0.25))] : null);
          },
        };
        const act = keys[event.key === "=" ? "+" : event.key];
        if (!act) return;
        event.preventDefault();
        act();
      };
    }
  }

  // Lines fill the width; marks at its ends must not be cut in half.
  function extent(xs, marks, log) {
    const known = xs.filter(finite);
    if (!known.length) return log ? [1, 10] : [0, 1];
    const low = known.reduce((a, b) => Math.min(a, b)), high = known.reduce((a, b) => Math.max(a, b));
    return marks || low === high ? padded([low, high], log) : [low, high];
  }

  for (const figure of document.querySelectorAll("figure")) charts.push(new Chart(figure));
  for (const chart of charts) chart.draw();

  const root = document.documentElement, theme = document.getElementById("theme");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  theme.onclick = () => { root.dataset.theme = dark() ? "light" : "dark"; };

  for (const line of navigator.clipboard ? document.querySelectorAll(".commands > div") : []) {
    const button = element(line, "button", "copy");
    button.type = "button";
    button.textContent = "copy";
    button.onclick = () => navigator.clipboard.writeText(line.querySelector("code").textContent).then(() => { button.textContent = "copied"; });
  }

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
    // Two columns of a page are about this wide, and writing keeps its size.
    for (const chart of charts) { chart.leave(); chart.draw(360); }
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
    for (const chart of charts) chart.draw();
  });
})();
