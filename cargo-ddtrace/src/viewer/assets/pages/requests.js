/** Requests (`/requests`): every payload that came, what it was answered, what it held. */

import { get } from "../data/api.js";
import { bytes, clock, duration, plural } from "../data/format.js";
import * as stream from "../data/stream.js";
import { el, fill, set, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as keyboard from "../page/keyboard.js";
import * as route from "../page/route.js";
import * as badge from "../parts/badges.js";
import { empty } from "../parts/empty.js";
import { cell, grid } from "../parts/grid.js";
import { pauseButton } from "../parts/pause.js";

const PAGE = 200;

export function open(main, first) {
  let query = first.query;
  let requests = [];
  let cursor = null;
  let total = 0;
  let timer = 0;
  let loading = false;
  const path = el("input", { class: "field", type: "search", placeholder: "Path begins with /v0.4/traces", "aria-label": "Path", value: query.get("path") ?? "", spellcheck: "false", onchange: () => route.change({ path: path.value.trim() }) });
  const status = el("select", { class: "field", "aria-label": "Status", onchange: () => route.change({ status: status.value }) }, [["", "Any status"], ["2xx", "2xx"], ["4xx", "4xx"], ["5xx", "5xx"]].map(([value, text]) => el("option", { value }, text)));
  const wrong = el("button", { class: "button", type: "button", onclick: () => route.change({ problems: query.get("problems") ? null : "true" }) }, icon("problems"), "With problems");
  const pause = pauseButton();
  const problem = el("div", { class: "note error", role: "alert", hidden: true });
  const head = el("div", { class: "grid-head request-columns", "aria-hidden": "true" }, ["No.", "Time", "Request", "Status", "Size", "Took", "Holds", ""].map((text, index) => el("span", { class: [4, 5].includes(index) ? "number" : "" }, text)));
  const list = grid({ label: "Requests", height: 32, render, openOnClick: true, onOpen: (index) => route.go(`/requests/${requests[index].n}`), onEnd: more });
  const body = el("div", { class: "list-body" }, head, list.node);
  const nothing = el("div", { class: "scroll", hidden: true });
  fill(main, el("div", { class: "bar" }, el("h1", null, "Requests"), el("div", { class: "search" }, icon("search"), path), status, wrong, pause.node), problem, body, nothing);
  const schedule = () => { if (!timer) timer = setTimeout(() => { timer = 0; load(); }, 500); };
  const stops = [stream.on("requests", () => { if (list.node.scrollTop === 0) schedule(); }), stream.on("reset", schedule), stream.on("cleared", schedule), pause.stop];
  keyboard.pageKeys(list.keys("request"));
  const filters = () => ({ path: query.get("path"), status: query.get("status"), problems: query.get("problems") });
  load();

  async function load() {
    status.value = query.get("status") ?? "";
    set(wrong, { "aria-pressed": query.get("problems") ? "true" : "false" });
    try {
      const answer = await get("/api/requests", { ...filters(), limit: PAGE });
      const active = requests[list.active]?.n;
      requests = answer.requests;
      cursor = answer.cursor;
      total = answer.total;
      problem.hidden = true;
      body.hidden = requests.length === 0;
      nothing.hidden = requests.length > 0;
      list.setCount(requests.length);
      const index = requests.findIndex((request) => request.n === active);
      if (index >= 0 && index !== list.active) list.activate(index, { quiet: true });
      if (requests.length === 0) {
        const filtered = Object.values(filters()).some(Boolean);
        fill(nothing, empty({
          icon: "requests", title: filtered ? "No request matches" : "No requests yet",
          text: filtered ? `${plural(total, "request")} kept, none like this.` : "Every request that a tracer sends is kept here for a while, with its answer and its bytes. Unknown paths, too: nothing vanishes in silence.",
          reasons: filtered ? [] : ["Nothing has been sent to this address yet."],
          snippets: filtered ? [] : [`DD_TRACE_AGENT_URL=${location.origin} ./your-program`, "cargo ddtrace run"],
        }));
      }
    } catch (error) {
      fill(problem, icon("problems"), `The list could not be loaded: ${error.message}`);
      problem.hidden = false;
    }
  }

  async function more() {
    if (!cursor || loading) return;
    loading = true;
    try {
      const answer = await get("/api/requests", { ...filters(), limit: PAGE, cursor });
      requests = requests.concat(answer.requests);
      cursor = answer.cursor;
      list.setCount(requests.length);
    } catch {
      cursor = null;
    }
    loading = false;
  }

  function render(index) {
    const request = requests[index];
    return {
      attributes: { class: `request-columns ${request.status >= 400 ? "has-error" : ""}` },
      cells: [
        cell("faint", String(request.n)),
        cell("time mono", clock(request.time, true)),
        cell("resource", el("span", { class: "method" }, user(request.method, 12)), el("span", { class: "clip mono", title: request.path }, user(request.path)), request.fault ? el("span", { class: "badge warn" }, "fault: ", user(request.fault)) : null),
        cell("", badge.status(String(request.status))),
        cell("number", bytes(request.bytes)),
        cell("number", duration(request.micros * 1000)),
        cell("clip soft", request.kind === "traces" ? `${plural(request.chunks, "chunk")}, ${plural(request.spans, "span")}` : user(request.kind), request.language ? el("span", { class: "faint" }, " · ", user(request.language, 20), " ", user(request.tracer_version, 20)) : null),
        cell("marks", badge.problems(request.problems, request.worst)),
      ],
    };
  }

  return {
    update(next) {
      query = next.query;
      path.value = query.get("path") ?? "";
      list.node.scrollTop = 0;
      load();
      return true;
    },
    close() {
      clearTimeout(timer);
      list.close();
      for (const stop of stops) stop();
    },

  };
}
