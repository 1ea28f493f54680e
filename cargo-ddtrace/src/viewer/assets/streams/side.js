/** What is beside the map: the selected edge or node, or what there is in all. */

import { count, duration, bytes, plural, rate } from "../data/format.js";
import { el, style, user } from "../page/dom.js";
import * as badge from "../parts/badges.js";
import { table } from "../parts/table.js";
import { edgeKey } from "./picture.js";
import { checkpoints, partitions } from "./tables.js";

export function side(data, { node: nodeId, edge: chosen, choose }) {
  const nodeOf = (id) => data.nodes.find((node) => node.id === id);
  const edge = data.edges.find((candidate) => edgeKey(candidate) === chosen);
  const node = nodeOf(nodeId);
  if (edge) {
    const [from, to] = [nodeOf(edge.from), nodeOf(edge.to)];
    const topic = edge.direction === "in" ? from.label : to.label;
    const lag = edge.direction === "call" ? [] : data.lag.filter((one) => one.topic === topic && (edge.direction !== "in" || edge.groups.length === 0 || edge.groups.includes(one.group)));
    return [el("h2", null, name(from), " → ", name(to)),
      el("p", { class: "hint" }, { in: "Latency is the time from producing a message to consuming it.", out: "Latency is the time from consuming a message to producing this one; 0 where a pathway begins.", route: "What is sent to the first is read from the second.", call: "Latency is the time from sending a request to its arrival." }[edge.direction] ?? ""),
      edge.groups.length ? el("p", { class: "hint" }, edge.groups.length === 1 ? "Group " : "Groups ", edge.groups.map((group, at) => [at ? ", " : "", el("code", null, user(group))])) : null,
      cards(edge), histogram(edge.histogram),
      lag.length ? [el("h3", null, "Offsets"), partitions(lag)] : null];
  }
  if (node) {
    const lag = data.lag.filter((one) => one.topic === node.label);
    const own = data.pathways.filter((pathway) => (node.kind === "service" ? pathway.service === node.label : `queue:${pathway.type}:${pathway.name}` === node.id));
    return [el("h2", null, name(node)),
      el("dl", { class: "cards two" }, [[node.kind === "service" ? "Consumed" : "Written", `${count(node.consumed)} · ${rate(node.consumed_rate)}`], [node.kind === "service" ? "Produced" : "Read", `${count(node.produced)} · ${rate(node.produced_rate)}`]].map(card)),
      node.kind === "service" ? el("p", { class: "hint" }, user([node.env ? `env ${node.env}` : "", node.version ? `version ${node.version}` : "", node.language].filter(Boolean).join(", "))) : null,
      lag.length && node.kind !== "service" ? [el("h3", null, "Offsets"), partitions(lag)] : null,
      own.length ? [el("h3", null, "Checkpoints"), checkpoints(own)] : null];
  }
  const services = data.nodes.filter((one) => one.kind === "service");
  const queues = data.nodes.length - services.length;
  return [el("h2", null, "Services"),
    table(["Service", "In", "Out"], services.map((one) => [
      el("button", { class: "button plain link", type: "button", onclick: () => choose({ node: one.id }) }, badge.service(one.label)), rate(one.consumed_rate), rate(one.produced_rate)]), { numbers: 1 }),
    el("p", { class: "hint" }, `${plural(services.length, "service")}, ${plural(queues, "topic or queue", "topics and queues")}, ${plural(data.pathways.length + data.more_pathways, "pathway")}. Select an edge for its latencies and sizes, a topic for its offsets.`)];
}

function name(node) {
  return node.kind === "service" ? badge.service(node.label) : el("span", { class: "queue-name" }, user(node.label, 80));
}

function card([title, value]) {
  return el("div", null, el("dt", null, title), el("dd", null, value));
}

function cards(edge) {
  return el("dl", { class: "cards" }, [
    ["Messages", count(edge.messages)], ["Rate", rate(edge.rate)], ["Bytes", bytes(Math.round(edge.bytes))],
    ["p50", duration(edge.latency.p50)], ["p95", duration(edge.latency.p95)], ["p99", duration(edge.latency.p99)],
    ["Size p50", bytes(edge.size.p50)], ["Size p95", bytes(edge.size.p95)], ["Size p99", bytes(edge.size.p99)],
  ].map(card));
}

function histogram({ bounds_ns: bounds, counts }) {
  const first = counts.findIndex((value) => value > 0);
  if (first < 0) return null;
  const last = counts.length - 1 - [...counts].reverse().findIndex((value) => value > 0);
  const from = Math.max(0, first - 1);
  const shown = counts.slice(from, last + 2);
  const most = Math.max(...shown);
  const upTo = (index) => (index < bounds.length ? `up to ${duration(bounds[index])}` : `over ${duration(bounds[bounds.length - 1])}`);
  return el("figure", { class: "histogram", role: "img", "aria-label": `Latency: ${shown.map((value, index) => `${value} ${upTo(from + index)}`).join(", ")}` },
    el("div", { class: "histogram-bars" }, shown.map((value, index) => el("span", { title: `${value} ${upTo(from + index)}` }, style(el("i"), { height: `${(100 * value) / most}%` })))),
    el("figcaption", { "aria-hidden": "true" }, el("span", null, from > 0 ? duration(bounds[from - 1]) : "0"), el("span", null, duration(bounds[Math.min(from + shown.length, bounds.length) - 1]))));
}
