/** Streams as tables: edges, pathways, offsets, transactions. They are also the form that can be read out. */

import { ago, bytes, clock, count, duration, plural, rate } from "../data/format.js";
import { el, style, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as route from "../page/route.js";
import * as badge from "../parts/badges.js";
import { table } from "../parts/table.js";
import { none } from "../parts/values.js";
import { edgeKey } from "./picture.js";

export function edges(data, chosen, choose) {
  const nodes = new Map(data.nodes.map((node) => [node.id, node]));
  const label = (id) => (nodes.get(id).kind === "service" ? badge.service(nodes.get(id).label) : el("span", { class: "queue-name" }, user(nodes.get(id).label, 80)));
  if (data.edges.length === 0) return none("No message passed a checkpoint in this window.");
  return [el("h2", null, "Steps"), table(["From", "To", "Rate", "p50", "p95", "p99", "Size p95"], data.edges.map((edge) => [label(edge.from),
    el("button", { class: "button plain link", type: "button", "aria-label": `Select the step from ${nodes.get(edge.from).label} to ${nodes.get(edge.to).label}`, onclick: () => choose({ edge: edgeKey(edge) }) }, label(edge.to)),
    rate(edge.rate), duration(edge.latency.p50), duration(edge.latency.p95), duration(edge.latency.p99), bytes(edge.size.p95)]),
  { numbers: 2, chosen: data.edges.findIndex((edge) => edgeKey(edge) === chosen) })];
}

/** Where a checkpoint is, in words. */
function place(pathway) {
  const isRequest = !pathway.name && (pathway.type === "http" || pathway.type === "grpc");
  const way = (isRequest ? { in: "answers", out: "sends" } : { in: "reads", out: "writes" })[pathway.direction] ?? "passes";
  return [badge.service(pathway.service), el("span", { class: "faint" }, ` ${way} `), el("span", { class: "queue-name" }, user(pathway.name || pathway.type || "a checkpoint", 80)), pathway.group ? el("span", { class: "faint" }, " as ", user(pathway.group, 60)) : null, pathway.manual ? el("span", { class: "badge" }, "manual") : null];
}

/** Each pathway with the way that leads there. */
export function pathways(data) {
  const byHash = new Map(data.pathways.map((pathway) => [pathway.hash, pathway]));
  const chain = (pathway) => {
    const steps = [];
    const seen = new Set();
    for (let at = pathway; at && !seen.has(at.hash); at = byHash.get(at.parent)) {
      seen.add(at.hash);
      steps.unshift(at);
      if (at.parent !== "0" && !byHash.has(at.parent)) {
        steps.unshift(null);
        break;
      }
    }
    return steps;
  };
  const parents = new Set(data.pathways.map((pathway) => pathway.parent));
  // Ends of ways first: what leads to them is part of their chains.
  const sorted = [...data.pathways].sort((a, b) => Number(parents.has(a.hash)) - Number(parents.has(b.hash)) || b.messages - a.messages);
  return [
    el("p", { class: "soft facts" }, `${plural(data.pathways.length, "pathway")}: every way by which messages reached a checkpoint. End to end is the time since the way began.`, data.more_pathways ? ` ${count(data.more_pathways)} more are not shown.` : ""),
    el("div", { class: "table-scroll" }, table(["Way", "Messages", "Rate", "Step p95", "End to end p50", "p95", "p99", "Size p95"], sorted.map((pathway) => [
      el("ol", { class: `way ${parents.has(pathway.hash) ? "inner" : ""}`, title: `hash ${pathway.hash}, parent ${pathway.parent}` }, chain(pathway).map((step) => el("li", null, step ? place(step) : el("span", { class: "faint" }, "a checkpoint that never came")))),
      count(pathway.messages), rate(pathway.rate), duration(pathway.latency.p95), duration(pathway.pathway.p50), duration(pathway.pathway.p95), duration(pathway.pathway.p99), bytes(pathway.size.p95),
    ]), { numbers: 1 })),
  ];
}

/** Checkpoints of one node, for the side. */
export function checkpoints(list) {
  return table(["Checkpoint", "Rate", "End to end p95"], list.slice(0, 50).map((pathway) => [el("span", { title: pathway.tags.join(", ") }, place(pathway)), rate(pathway.rate), duration(pathway.pathway.p95)]), { numbers: 1 });
}

/** Partitions of one topic, for the side. */
export function partitions(list) {
  return table(["Partition", "End", "Read", "Lag"], list.map((lag) => [
    [user(lag.partition || "–"), lag.group ? el("div", { class: "faint" }, user(lag.group, 40)) : null],
    number(lag.high_watermark ?? lag.produced), number(lag.committed), amount(lag.lag)]), { numbers: 1 });
}

const number = (value) => (value === null ? "–" : count(value));

function amount(lag) {
  return lag === null ? el("span", { class: "faint" }, "–") : el("strong", { class: lag > 0 ? "warn-text" : "" }, count(lag));
}

export function lags(list) {
  if (list.length === 0) {
    return [el("p", { class: "soft facts" }, "No offsets have come. Kafka's consumers and producers send them by themselves; elsewhere they are tracked by hand."), el("pre", null, 'ddtrace::data_streams::kafka_commit_offset("group", "topic", 0, 42, None);')];
  }
  const most = Math.max(1, ...list.map((lag) => lag.lag ?? 0));
  return [
    el("p", { class: "soft facts" }, "Lag is the end of a partition less what a group has committed. An end that nobody sends leaves it unknown."),
    el("div", { class: "table-scroll" }, table(["Topic", "Partition", "Group", "Cluster", "Lag", "", "Produced", "High watermark", "Committed", "Last word"], list.map((lag) => [
      el("strong", null, user(lag.topic, 80)), user(lag.partition || "–"), lag.group ? user(lag.group, 60) : el("span", { class: "faint" }, "nobody commits"), user(lag.cluster || "–", 40),
      amount(lag.lag), lag.lag ? el("div", { class: "meter", "aria-hidden": "true" }, style(el("i"), { width: `${(100 * lag.lag) / most}%` })) : null,
      number(lag.produced), number(lag.high_watermark), number(lag.committed), ago(lag.updated),
    ]), { numbers: 4 })),
  ];
}

export function transactions({ transactions: list, matched }, wanted) {
  const field = el("input", { class: "field", type: "search", placeholder: "Transaction or checkpoint", "aria-label": "Transaction or checkpoint", value: wanted, spellcheck: "false", onchange: () => route.change({ q: field.value.trim() }) });
  const search = el("div", { class: "search streams-search" }, icon("search"), field);
  if (list.length === 0) {
    return [search, el("p", { class: "soft facts" }, wanted ? "No transaction is like this." : "No transaction was tracked. Name one where it passes, and its way is shown here."), el("pre", null, 'ddtrace::data_streams::track_transaction("order-1", "billed");')];
  }
  return [search,
    el("p", { class: "soft facts" }, `${plural(matched, "transaction")}, newest first${matched > list.length ? `; ${count(matched - list.length)} more are not shown` : ""}.`),
    el("div", { class: "table-scroll" }, table(["Transaction", "Checkpoints", "Began", "Took"], list.map(({ id, steps }) => {
      const time = (step) => BigInt(step.time);
      return [el("code", null, user(id, 120)),
        el("ol", { class: "way" }, steps.map((step, at) => el("li", { title: clock(step.time, true) }, badge.service(step.service), " ", el("strong", null, user(step.checkpoint, 60)), at > 0 ? el("span", { class: "faint" }, ` +${duration(Number(time(step) - time(steps[at - 1])))}`) : null))),
        clock(steps[0].time, true), duration(Number(time(steps[steps.length - 1]) - time(steps[0])))];
    }), { numbers: 2 }))];
}
