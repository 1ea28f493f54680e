/** The map of pathways as a drawing: services as boxes, what messages pass through as pills. */

import { serviceClass } from "../data/colours.js";
import { bytes, count, duration, rate } from "../data/format.js";
import { layers } from "../map/layers.js";
import { fill, style, svg } from "../page/dom.js";

const WIDTH = 172;
const HEIGHT = 58;
const COLUMN = 268;
const LINE = 112;
/** Height of the place where an edge passes through a layer. */
const PASS = 44;

export const edgeKey = (edge) => `${edge.from}\u001f${edge.to}`;

/** What all groups of a topic are behind, or null if nobody knows. */
export function behind(data, topic, group = null) {
  const known = data.lag.filter((lag) => lag.topic === topic && lag.lag !== null && (group === null || lag.group === group));
  return known.length > 0 ? known.reduce((sum, lag) => sum + lag.lag, 0) : null;
}

/** One sentence on a node. */
export function sentence(node, data) {
  if (node.kind === "service") return `${node.label}: consumes ${rate(node.consumed_rate)}, produces ${rate(node.produced_rate)}`;
  const lag = behind(data, node.label);
  return `${node.type} ${node.label}: ${rate(node.consumed_rate)} in, ${rate(node.produced_rate)} out${lag === null ? "" : `, ${count(lag)} behind`}`;
}

/**
 * @param {Element} into
 * @param {any} data the answer of `/api/streams`
 * @param {{node: string|null, edge: string|null, choose: (what: {node?: string, edge?: string}) => void}} selection
 */
export function picture(into, data, { node: chosenNode, edge: chosenEdge, choose }) {
  // Where messages go round in a circle it is cut before the services that ways begin at.
  const begin = new Set(data.pathways.filter((pathway) => pathway.parent === "0").map((pathway) => `service:${pathway.service}`));
  const nodes = [...data.nodes].sort((a, b) => Number(begin.has(b.id)) - Number(begin.has(a.id)));
  const { layers: rows, back, via } = layers(nodes, data.edges);
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
  const nodeOf = new Map(data.nodes.map((node) => [node.id, node]));
  const busiest = Math.max(...data.edges.map((edge) => edge.rate), 1e-9);
  // Where several edges leave a node their labels stand near the other ends, and the reverse.
  const degree = new Map();
  for (const { from, to } of data.edges) for (const key of [`from ${from}`, `to ${to}`]) degree.set(key, (degree.get(key) ?? 0) + 1);
  const focused = document.activeElement?.getAttribute?.("data-focus");
  let lowest = 24 + tall;

  const lines = data.edges.map((edge, index) => {
    const [from, to] = [at.get(edge.from), at.get(edge.to)];
    const key = edgeKey(edge);
    let d;
    let middle;
    if (back.has(index) || to.x <= from.x) {
      const low = Math.max(from.y, to.y) + HEIGHT + 40;
      lowest = Math.max(lowest, low + 12);
      d = `M${from.x + WIDTH / 2} ${from.y + HEIGHT} C ${from.x + WIDTH / 2} ${low}, ${to.x + WIDTH / 2} ${low}, ${to.x + WIDTH / 2} ${to.y + HEIGHT + 7}`;
      middle = { x: (from.x + to.x + WIDTH) / 2, y: low - 10 };
    } else {
      const stops = (via.get(index) ?? []).map((id) => at.get(id));
      let [x, y] = [from.x + WIDTH, from.y + HEIGHT / 2];
      d = `M${x} ${y}`;
      for (const stop of [...stops, { x: to.x - 7, y: to.y, end: true }]) {
        const [x2, y2] = [stop.x, stop.y + HEIGHT / 2];
        const bend = Math.min(80, (x2 - x) / 2);
        d += ` C ${x + bend} ${y}, ${x2 - bend} ${y2}, ${x2} ${y2}`;
        const [many, few] = [degree.get(`from ${edge.from}`), degree.get(`to ${edge.to}`)];
        const t = y === y2 || many === few ? 0.5 : many > few ? 0.66 : 0.34;
        const mix = (a, b, c, e) => (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t ** 2 * c + t ** 3 * e;
        middle = { x: mix(x, x + bend, x2 - bend, x2), y: mix(y, y, y2, y2) };
        [x, y] = [x2 + WIDTH, y2];
        if (!stop.end) d += ` H ${x}`;
      }
      if (stops.length > 0) middle = { x: stops[0].x + WIDTH / 2, y: stops[0].y + HEIGHT / 2 };
    }
    const lag = edge.direction === "in" ? edge.groups.map((group) => behind(data, nodeOf.get(edge.from).label, group)).reduce((sum, one) => (one === null ? sum : (sum ?? 0) + one), null) : null;
    const verb = { in: "is read by", out: "writes to", route: "is routed to", call: "calls" }[edge.direction] ?? "leads to";
    return svg("g", {
      class: `edge ${chosenEdge === key ? "chosen" : ""} ${chosenNode && chosenNode !== edge.from && chosenNode !== edge.to ? "dim" : ""}`,
      role: "button", tabindex: 0, "data-focus": `edge ${key}`,
      "aria-label": `${nodeOf.get(edge.from).label} ${verb} ${nodeOf.get(edge.to).label}: ${rate(edge.rate)}, p95 ${duration(edge.latency.p95)}${lag === null ? "" : `, ${count(lag)} behind`}`,
      onclick: () => choose({ edge: key }), onkeydown: press(() => choose({ edge: key })),
    },
    svg("path", { class: "hit", d }),
    svg("path", { class: "wire", d, "marker-end": "url(#stream-arrow)", "stroke-width": (1.2 + 2.6 * Math.sqrt(edge.rate / busiest)).toFixed(1), "stroke-dasharray": edge.direction === "route" ? "3 4" : null }),
    svg("text", { class: "edge-text", x: middle.x, y: middle.y - 6, "text-anchor": "middle" }, rate(edge.rate)),
    svg("text", { class: "edge-text faint", x: middle.x, y: middle.y + 15, "text-anchor": "middle" }, edge.direction === "route" ? "routed" : edge.latency.p99 ? `p95 ${duration(edge.latency.p95)}` : bytes(edge.size.p95)),
    lag ? svg("text", { class: "edge-text late", x: middle.x, y: middle.y + 30, "text-anchor": "middle" }, `▮ lag ${count(lag)}`) : null);
  });

  const boxes = data.nodes.map((node) => {
    const { x, y } = at.get(node.id);
    const isService = node.kind === "service";
    const lag = isService ? null : behind(data, node.label);
    return svg("g", {
      class: `node ${isService ? serviceClass(node.label) : "queue-node"} ${chosenNode === node.id ? "chosen" : ""}`,
      transform: `translate(${x} ${y})`, role: "button", tabindex: 0, "data-focus": `node ${node.id}`, "aria-label": sentence(node, data),
      onclick: () => choose({ node: node.id }), onkeydown: press(() => choose({ node: node.id })),
    },
    svg("rect", { class: "box", width: WIDTH, height: HEIGHT, rx: isService ? 8 : HEIGHT / 2 }),
    isService ? svg("rect", { class: "stripe", width: 4, height: HEIGHT - 20, x: 10, y: 10, rx: 2 }) : queueMark(),
    svg("text", { class: "node-name", x: isService ? 24 : 40, y: 24 }, short(node.label, isService ? 19 : 16)),
    svg("text", { class: "node-text", x: isService ? 24 : 40, y: 43 }, isService
      ? [node.consumed ? `in ${rate(node.consumed_rate)}` : "", node.produced ? `out ${rate(node.produced_rate)}` : ""].filter(Boolean).join(" · ") || "checkpoints only"
      : `${short(node.type || "messages", 12)}${lag === null ? "" : ` · lag ${count(lag)}`}`),
    svg("title", null, node.label));
  });

  const marker = svg("marker", { id: "stream-arrow", class: "head", viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" }, svg("path", { d: "M0 .5 7 4 0 7.5z" }));
  const height = lowest + 26;
  const drawing = svg("svg", { class: "map", viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "Map of pathways" }, svg("defs", null, marker), lines, boxes);
  // A wide map scrolls before its text gets too small to read.
  style(drawing, { "min-width": `${Math.round(width * 0.72)}px` });
  fill(into, drawing);
  for (const node of focused ? into.querySelectorAll("[data-focus]") : []) {
    if (node instanceof SVGElement && node.getAttribute("data-focus") === focused) node.focus();
  }
}

/** Three messages behind each other. */
function queueMark() {
  return svg("g", { class: "queue-mark" }, [0, 1, 2].map((at) => svg("rect", { x: 16 + at * 6, y: HEIGHT / 2 - 8, width: 4, height: 16, rx: 1.5 })));
}

/** Names of topics end in what tells them apart, so the beginning goes. */
function short(text, room) {
  return text.length > room ? `…${text.slice(text.length - room + 1)}` : text;
}

/** Enter and Space do what a click does. */
export function press(run) {
  return (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    run();
  };
}
