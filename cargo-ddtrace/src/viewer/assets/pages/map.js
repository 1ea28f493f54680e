/** Service map (`/map`): who calls whom, how often, how fast, how well; drawn and as a list. */

import { get } from "../data/api.js";
import { register, serviceClass } from "../data/colours.js";
import { count, duration, percent, plural, rate, term } from "../data/format.js";
import * as stream from "../data/stream.js";
import { el, fill, style, svg, user } from "../page/dom.js";
import * as frame from "../page/frame.js";
import { icon } from "../page/icons.js";
import * as keyboard from "../page/keyboard.js";
import * as route from "../page/route.js";
import { layers } from "../map/layers.js";
import * as badge from "../parts/badges.js";
import { empty } from "../parts/empty.js";
import { pauseButton } from "../parts/pause.js";
import { table } from "../parts/table.js";
import { none } from "../parts/values.js";

const WIDTH = 190;
const HEIGHT = 62;
const COLUMN = 284;
const LINE = 108;
/** Height of the place where an edge passes through a layer. */
const PASS = 44;
const WINDOWS = [["1m", "1 min"], ["5m", "5 min"], ["30m", "30 min"], ["2h", "2 h"], ["all", "everything"]];
const KINDS = { db: "database", queue: "queue", cache: "cache", http: "HTTP", "": "not instrumented" };

export function open(main, first) {
  let query = first.query;
  let data = null;
  let services = [];
  let timer = 0;
  let lastLoad = 0;
  const span = el("select", { class: "field", "aria-label": "Window", onchange: () => route.change({ window: span.value }) }, WINDOWS.map(([value, text]) => el("option", { value }, text)));
  const pause = pauseButton();
  const problem = el("div", { class: "note error", role: "alert", hidden: true });
  const picture = el("div", { class: "map-picture scroll" });
  const side = el("aside", { class: "map-side scroll", "aria-label": "Selected" });
  const list = el("div", { class: "map-list" });
  const body = el("div", { class: "map-body" }, picture, side);
  const nothing = el("div", { class: "scroll", hidden: true });
  fill(main, el("div", { class: "bar" }, el("h1", null, "Service map"), el("span", { class: "grow" }), span, pause.node), problem, body, nothing);

  const schedule = () => {
    if (timer) return;
    timer = setTimeout(() => { timer = 0; load(); }, Math.max(0, lastLoad + 1000 - Date.now()));
  };
  const stops = [stream.on("traces", schedule), stream.on("reset", schedule), stream.on("cleared", schedule), pause.stop];
  // Rates fall while nothing comes, so the picture is drawn anew now and then all the same.
  const pulse = setInterval(() => { if (!stream.view().paused) schedule(); }, 5000);
  keyboard.pageKeys([
    { key: "j", label: "Next node", run: () => walk(1) },
    { key: "k", label: "Previous node", run: () => walk(-1) },
    { key: "Escape", label: "Select nothing", run: () => (query.get("node") || query.get("edge") ? choose({}) : history.back()) },
  ]);
  span.value = query.get("window") ?? "5m";
  load();

  async function load() {
    lastLoad = Date.now();
    const window = query.get("window") ?? "5m";
    try {
      const [map, all] = await Promise.all([get("/api/map", { window }), get("/api/services", { window })]);
      data = map;
      services = all.services;
      register(data.nodes.filter((node) => node.kind === "service").map((node) => node.id));
      problem.hidden = true;
      draw();
    } catch (error) {
      fill(problem, icon("problems"), `The map could not be loaded: ${error.message}`);
      problem.hidden = false;
    }
  }

  const edgeKey = (edge) => `${edge.from}\u001f${edge.to}`;
  const nodeOf = (id) => data.nodes.find((node) => node.id === id);

  function choose({ node = null, edge = null }) {
    route.change({ node, edge });
  }

  function walk(step) {
    if (!data || data.nodes.length === 0) return;
    const at = data.nodes.findIndex((node) => node.id === query.get("node"));
    const next = data.nodes[(at + step + data.nodes.length) % data.nodes.length];
    choose({ node: next.id });
    frame.announce(sentence(next));
  }

  function sentence(node) {
    return `${node.label}: ${rate(node.rate)}, ${percent(node.error_rate)} errors, p95 ${duration(node.p95)}`;
  }

  function draw() {
    const none = data.nodes.length === 0;
    body.hidden = none;
    nothing.hidden = !none;
    if (none) {
      const seen = frame.currentStatus()?.counts?.traces ?? 0;
      fill(nothing, empty({
        icon: "map", title: seen > 0 ? "Nothing in this window" : "No services yet",
        text: "The map shows which services call which, with rates, errors and percentiles, from the spans of the chosen window.",
        reasons: seen > 0 ? ["All traces here are older than the window: choose a longer one above."] : ["No spans have come. The map needs services that call each other, with features axum and reqwest."],
        snippets: ["cargo ddtrace run --example shop"],
      }));
      return;
    }
    drawPicture();
    drawSide();
  }

  function drawPicture() {
    const { layers: rows, back, via } = layers(data.nodes, data.edges);
    const at = new Map();
    const step = (id) => (id.startsWith("\u0000") ? PASS : LINE);
    const heights = rows.map((row) => row.reduce((sum, id) => sum + step(id), 0));
    const tall = Math.max(...heights);
    rows.forEach((row, layer) => {
      let y = 24 + (tall - heights[layer]) / 2;
      for (const id of row) {
        at.set(id, { x: 16 + layer * COLUMN, y: y + (id.startsWith("\u0000") ? PASS / 2 - HEIGHT / 2 : (LINE - HEIGHT) / 2) });
        y += step(id);
      }
    });
    const width = 32 + (rows.length - 1) * COLUMN + WIDTH;
    const height = 24 + tall;
    const chosenNode = query.get("node");
    const chosenEdge = query.get("edge");
    // Where several edges leave a node their labels stand near the other ends, and the reverse.
    const degree = new Map();
    for (const { from, to } of data.edges) for (const key of [`from ${from}`, `to ${to}`]) degree.set(key, (degree.get(key) ?? 0) + 1);
    const busiest = Math.max(...data.edges.map((edge) => edge.rate), 1e-9);
    const focused = document.activeElement?.getAttribute?.("data-focus");

    const lines = data.edges.filter((edge) => at.has(edge.from) && at.has(edge.to)).map((edge) => {
      const index = data.edges.indexOf(edge);
      const from = at.get(edge.from);
      const to = at.get(edge.to);
      const key = edgeKey(edge);
      let d;
      let middle;
      if (edge.from === edge.to) {
        d = `M${from.x + WIDTH - 40} ${from.y} c 0 -34, 30 -34, 30 0`;
        middle = { x: from.x + WIDTH - 24, y: from.y - 26 };
      } else if (back.has(index) || to.x <= from.x) {
        const low = Math.max(from.y, to.y) + HEIGHT + 30;
        d = `M${from.x + WIDTH / 2} ${from.y + HEIGHT} C ${from.x + WIDTH / 2} ${low}, ${to.x + WIDTH / 2} ${low}, ${to.x + WIDTH / 2} ${to.y + HEIGHT + 7}`;
        middle = { x: (from.x + to.x + WIDTH) / 2, y: low - 6 };
      } else {
        // Through the places it passes, each a level stretch as wide as a box.
        const stops = (via.get(index) ?? []).map((id) => at.get(id));
        let [x, y] = [from.x + WIDTH, from.y + HEIGHT / 2];
        d = `M${x} ${y}`;
        [...stops, { x: to.x - 7, y: to.y, end: true }].forEach((stop) => {
          const [x2, y2] = [stop.x, stop.y + HEIGHT / 2];
          const bend = Math.min(80, (x2 - x) / 2);
          d += ` C ${x + bend} ${y}, ${x2 - bend} ${y2}, ${x2} ${y2}`;
          const [many, few] = [degree.get(`from ${edge.from}`), degree.get(`to ${edge.to}`)];
          const t = many > few ? 0.68 : few > many ? 0.32 : 0.5;
          const mix = (a, b, c, e) => (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t ** 2 * c + t ** 3 * e;
          middle = { x: mix(x, x + bend, x2 - bend, x2), y: mix(y, y, y2, y2) };
          [x, y] = [x2 + WIDTH, y2];
          if (!stop.end) d += ` H ${x}`;
        });
        if (stops.length > 0) middle = { x: stops[0].x + WIDTH / 2, y: stops[0].y + HEIGHT / 2 };
      }
      const wrong = edge.error_rate >= 0.05;
      return { edge, node: svg("g", {
        class: `edge ${wrong ? "wrong" : ""} ${chosenEdge === key ? "chosen" : ""} ${chosenNode && chosenNode !== edge.from && chosenNode !== edge.to ? "dim" : ""}`,
        role: "button", tabindex: 0, "data-focus": `edge ${key}`,
        "aria-label": `${nodeOf(edge.from).label} calls ${nodeOf(edge.to).label}: ${rate(edge.rate)}, ${percent(edge.error_rate)} errors, p95 ${duration(edge.p95)}`,
        onclick: () => choose({ edge: key }), onkeydown: press(() => choose({ edge: key })),
      },
      svg("path", { class: "hit", d }),
      svg("path", { class: "wire", d, "marker-end": wrong ? "url(#arrow-wrong)" : "url(#arrow)", "stroke-width": (1.2 + 2.6 * Math.sqrt(edge.rate / busiest)).toFixed(1), "stroke-dasharray": nodeOf(edge.to).kind === "peer" ? "5 4" : null }),
      svg("text", { class: "edge-text", x: middle.x, y: middle.y - 6, "text-anchor": "middle" }, rate(edge.rate)),
      svg("text", { class: "edge-text faint", x: middle.x, y: middle.y + 15, "text-anchor": "middle" }, duration(edge.p95)),
      edge.errors ? svg("text", { class: "edge-text bad", x: middle.x, y: middle.y + 29, "text-anchor": "middle" }, `✖ ${percent(edge.error_rate)}`) : null) };
    });

    const boxes = data.nodes.map((node) => {
      const { x, y } = at.get(node.id);
      const peer = node.kind === "peer";
      const wrong = node.error_rate >= 0.05;
      const room = node.errors && !peer ? 13 : 20;
      const label = node.label.length > room ? `${node.label.slice(0, room - 1)}…` : node.label;
      return svg("g", {
        class: `node ${peer ? "peer-node" : serviceClass(node.id)} ${wrong ? "wrong" : ""} ${chosenNode === node.id ? "chosen" : ""}`,
        transform: `translate(${x} ${y})`, role: "button", tabindex: 0, "data-focus": `node ${node.id}`, "aria-label": sentence(node),
        onclick: () => choose({ node: node.id }), onkeydown: press(() => choose({ node: node.id })),
      },
      svg("rect", { class: "box", width: WIDTH, height: HEIGHT, rx: peer && node.type === "db" ? 18 : 8 }),
      peer ? null : svg("rect", { class: "stripe", width: 4, height: HEIGHT - 20, x: 10, y: 10, rx: 2 }),
      svg("text", { class: "node-name", x: peer ? 16 : 24, y: 25 }, label),
      svg("text", { class: "node-text", x: peer ? 16 : 24, y: 45 }, peer ? `${KINDS[node.type] ?? node.type} · ${rate(node.rate)}` : `${rate(node.rate)} · p95 ${duration(node.p95)}`),
      node.errors ? svg("text", { class: "node-errors", x: WIDTH - 12, y: peer ? 45 : 25, "text-anchor": "end" }, `✖ ${percent(node.error_rate)}`) : null);
    });

    const marker = (id, className) => svg("marker", { id, class: className, viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" }, svg("path", { d: "M0 .5 7 4 0 7.5z" }));
    const drawing = svg("svg", { class: "map", viewBox: `0 0 ${width} ${height + 26}`, width, height: height + 26, role: "group", "aria-label": "Service map" },
      svg("defs", null, marker("arrow", "head"), marker("arrow-wrong", "head wrong")), lines.map(({ node }) => node), boxes);
    // A wide map scrolls before its text gets too small to read.
    style(drawing, { "min-width": `${Math.round(width * 0.72)}px` });
    fill(picture, drawing, list);
    drawList();
    for (const node of focused ? picture.querySelectorAll("[data-focus]") : []) {
      if (node instanceof SVGElement && node.getAttribute("data-focus") === focused) node.focus();
    }
  }

  /** The same data as a table: the form that can be read out. */
  function drawList() {
    const calls = data.edges.map((edge) => [name(edge.from),
      el("button", { class: "button plain link", type: "button", "aria-label": `Select the calls from ${nodeOf(edge.from)?.label} to ${nodeOf(edge.to)?.label}`, onclick: () => choose({ edge: edgeKey(edge) }) }, name(edge.to)),
      rate(edge.rate), failed(edge), duration(edge.p50), duration(edge.p95), duration(edge.p99)]);
    fill(list, el("h2", null, "Calls"), calls.length === 0 ? none("No service calls another in this window.")
      : table(["From", "To", "Rate", "Errors", "p50", "p95", "p99"], calls, { numbers: 2, chosen: data.edges.findIndex((edge) => edgeKey(edge) === query.get("edge")) }));
  }

  function name(id) {
    const node = nodeOf(id);
    if (!node) return user(id);
    return node.kind === "service" ? badge.service(node.label) : el("span", { class: "peer" }, user(node.label, 80));
  }

  const failed = (of) => (of.errors ? el("span", { class: of.error_rate >= 0.05 ? "bad" : "" }, percent(of.error_rate)) : "0");

  function cards(of) {
    return el("dl", { class: "cards" }, [["Requests", count(of.requests)], ["Rate", rate(of.rate)], ["Errors", of.errors ? el("span", { class: "bad" }, percent(of.error_rate)) : "0"],
      ["p50", duration(of.p50)], ["p95", duration(of.p95)], ["p99", duration(of.p99)]].map(([title, value]) => el("div", null, el("dt", null, title), el("dd", null, value))));
  }

  function drawSide() {
    const edge = data.edges.find((candidate) => edgeKey(candidate) === query.get("edge"));
    const node = nodeOf(query.get("node"));
    if (edge) {
      const from = nodeOf(edge.from);
      const to = nodeOf(edge.to);
      fill(side, el("h2", null, name(edge.from), " → ", name(edge.to)), cards(edge),
        edge.histogram ? histogram(edge.histogram) : null,
        to.kind === "service"
          ? el("a", { class: "button", href: route.address("/", { service: to.id }) }, "Its traces")
          : from ? el("a", { class: "button", href: route.address("/", { q: `service:${term(from.id)} "${to.label.replaceAll('"', "")}"` }) }, "Its traces") : null,
        to.kind === "service" ? resources(to.id) : null);
    } else if (node) {
      fill(side, el("h2", null, name(node.id)), cards(node),
        node.kind === "service" ? el("div", { class: "side-actions" }, el("a", { class: "button", href: route.address("/", { service: node.id }) }, "Its traces"),
          el("a", { class: "button", href: route.address("/", { service: node.id, error: "true" }) }, "Errors")) : el("p", { class: "hint" }, "It is called, but sends no spans of its own."),
        resources(node.id));
    } else {
      const own = data.nodes.filter((candidate) => candidate.kind === "service");
      fill(side, el("h2", null, "Services"), table(["Service", "Rate", "Errors", "p95"], own.map((service) => [
        el("button", { class: "button plain link", type: "button", onclick: () => choose({ node: service.id }) }, badge.service(service.label)), rate(service.rate), failed(service), duration(service.p95)]), { numbers: 1 }),
        el("p", { class: "hint" }, `${plural(own.length, "service")}, ${plural(data.edges.length, "kind of call", "kinds of calls")}. Select one for its latency, its busiest resources and its traces. Dashed: called, but not instrumented.`));
    }
  }

  function resources(id) {
    const found = services.find((service) => service.service === id)?.resources ?? [];
    if (found.length === 0) return null;
    return [el("h3", null, "Resources"), table(["Resource", "Rate", "Errors", "p95"], found.slice(0, 15).map((resource) => [
      el("a", { href: route.address("/", { q: `service:${term(id)} resource_name:${term(resource.resource)}` }) }, user(resource.resource, 120)),
      rate(resource.rate), failed(resource), duration(resource.p95)]), { numbers: 1 })];
  }

  function histogram({ bounds_ns: bounds, counts }) {
    const most = Math.max(1, ...counts);
    const first = Math.max(0, counts.findIndex((value) => value > 0) - 1);
    const last = Math.min(counts.length - 1, counts.length - [...counts].reverse().findIndex((value) => value > 0));
    const shown = counts.slice(first, last + 1);
    return el("figure", { class: "histogram", role: "img", "aria-label": `Latency: ${shown.map((value, index) => `${value} up to ${duration(bounds[first + index] ?? bounds[bounds.length - 1])}`).join(", ")}` },
      el("div", { class: "histogram-bars" }, shown.map((value, index) => el("span", { title: `${value} up to ${duration(bounds[first + index] ?? Infinity)}` }, style(el("i"), { height: `${(100 * value) / most}%` })))),
      el("figcaption", { "aria-hidden": "true" }, el("span", null, first > 0 ? duration(bounds[first - 1]) : "0"), el("span", null, last >= bounds.length ? `> ${duration(bounds[bounds.length - 1])}` : duration(bounds[last]))));
  }

  return {
    update(next) {
      const before = query.get("window");
      query = next.query;
      span.value = query.get("window") ?? "5m";
      if (before !== query.get("window")) load();
      else if (data) draw();
      return true;
    },
    close() {
      clearTimeout(timer);
      clearInterval(pulse);
      for (const stop of stops) stop();
    },
  };
}

/** Enter and Space do what a click does. */
function press(run) {
  return (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    run();
  };
}
