/** One request (`/requests/{n}`): headers, answer, body decoded and as bytes, problems. */

import { get } from "../data/api.js";
import { bytes, duration, moment, plural } from "../data/format.js";
import { el, fill, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as keyboard from "../page/keyboard.js";
import * as route from "../page/route.js";
import * as badge from "../parts/badges.js";
import { copy } from "../parts/empty.js";
import { problemList } from "../parts/problems.js";
import { tabs } from "../parts/tabs.js";
import { none, pairs, text, tree } from "../parts/values.js";

const RAW = {
  evicted: "Newer requests have taken the place of these bytes.",
  secret: "These bytes held a value that looks like a secret, so they were not kept.",
  empty: "The request had no body.",
  too_large: "The body was too large to be kept.",
};
/** So many bytes are shown in hexadecimal; the whole body can be saved. */
const HEX = 16384;

export function open(main, first) {
  const n = first.argument;
  let query = first.query;
  fill(main, el("p", { class: "loading", role: "status" }, "Loading the request …"));
  keyboard.pageKeys([
    { key: "Escape", label: "All requests", run: () => route.go("/requests") },
    { key: "j", label: "Older request", run: () => { if (Number(n) > 1) route.go(`/requests/${Number(n) - 1}`); } },
    { key: "k", label: "Newer request", run: () => route.go(`/requests/${Number(n) + 1}`) },
  ]);
  get(`/api/requests/${n}`).then(draw, (error) => fill(main, el("div", { class: "empty", role: "alert" }, icon("requests", "large"), el("h2", null, "This request is not here"), el("p", null, error.message), el("a", { href: "/requests" }, "All requests"))));

  function draw(request) {
    document.title = `Request ${request.n} · ddtrace`;
    const { nodes } = tabs({
      label: "Request", chosen: query.get("tab") ?? (request.problems_list.length > 0 ? "problems" : "decoded"), onChoose: (tab) => route.change({ tab }),
      tabs: [
        { id: "decoded", title: "Decoded", draw: () => decoded(request) },
        { id: "headers", title: "Headers", count: Object.keys(request.headers).length, draw: () => pairs(Object.entries(request.headers).map(([name, value]) => [name, value, value])) },
        { id: "answer", title: "Answer", draw: () => el("pre", null, text(request.answer)) },
        { id: "bytes", title: "Bytes", draw: () => hex(request) },
        { id: "problems", title: "Problems", count: request.problems_list.length, draw: () => problemList(request.problems_list, "Nothing is wrong with this request.") },
      ],
    });
    fill(main,
      el("header", { class: "bar" }, el("a", { class: "button plain", href: "/requests", "aria-label": "All requests" }, icon("back")),
        el("h1", { class: "trace-title" }, el("span", { class: "method" }, user(request.method)), el("span", { class: "clip what" }, user(request.path)), badge.status(String(request.status))),
        el("span", { class: "grow" }), el("button", { class: "button", type: "button", onclick: () => copy(curl(request), "Command copied") }, icon("copy"), "Copy as curl"),
        request.raw === "kept" ? el("a", { class: "button", href: `/api/requests/${request.n}/raw`, download: `request-${request.n}.bin` }, "Save bytes") : null),
      el("div", { class: "trace-facts" }, [["Number", String(request.n)], ["Time", moment(request.time)], ["Size", bytes(request.bytes) + (request.encoding ? ` ${request.encoding}, ${bytes(request.inflated)} inflated` : "")],
        ["Took", duration(request.micros * 1000)], request.kind === "traces" ? ["Holds", `${plural(request.chunks, "chunk")}, ${plural(request.spans, "span")}`] : ["Kind", request.kind], request.language ? ["Client", `${request.language} ${request.tracer_version}`] : null]
        .filter(Boolean).map(([name, value]) => el("div", { class: "fact" }, el("span", { class: "fact-name" }, name), el("span", { class: "fact-value" }, user(value)))),
      request.traces.length > 0 ? el("div", { class: "fact" }, el("span", { class: "fact-name" }, "Traces"), request.traces.slice(0, 4).map((id) => [el("a", { href: `/trace/${id}`, class: "mono" }, id.slice(0, 8), "…", id.slice(-4)), " "])) : null),
      nodes);
  }

  function decoded(request) {
    if (request.decode_error) return el("p", { class: "bad" }, user(request.decode_error));
    if (request.decoded === null || request.decoded === undefined) return none(RAW[request.raw] ?? "The body is too large to be shown decoded; save its bytes instead.");
    return el("div", { class: "json" }, tree(request.decoded, null, 2));
  }

  function hex(request) {
    if (request.raw !== "kept") return none(RAW[request.raw] ?? "There are no bytes.");
    const node = el("pre", { class: "hex" }, "Loading …");
    fetch(`/api/requests/${request.n}/raw`).then((answer) => answer.arrayBuffer()).then((buffer) => {
      const data = new Uint8Array(buffer);
      const lines = [];
      for (let at = 0; at < Math.min(data.length, HEX); at += 16) {
        const part = [...data.subarray(at, at + 16)];
        lines.push(`${at.toString(16).padStart(8, "0")}  ${part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(48)} ${part.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join("")}`);
      }
      if (data.length > HEX) lines.push(`… ${bytes(data.length - HEX)} more`);
      node.textContent = lines.join("\n");
    }, (error) => { node.textContent = String(error); });
    return node;
  }

  /** The request as a command; the body has to be saved beside it. */
  function curl(request) {
    const quote = (value) => `'${String(value).replaceAll("'", `'\\''`)}'`;
    const headers = Object.entries(request.headers).filter(([name]) => !/^(host|content-length|content-encoding|connection|transfer-encoding)$/i.test(name)).map(([name, value]) => ` -H ${quote(`${name}: ${value}`)}`).join("");
    return `curl -X ${request.method} ${quote(location.origin + request.path)}${headers}${request.raw === "kept" ? ` --data-binary @request-${request.n}.bin` : ""}`;
  }

  return { update(next) { if (next.argument !== n) return false; query = next.query; return true; }, close() {} };
}
