/** Sessions: conversations over several traces. */

import { clock, duration, plural } from "../data/format.js";
import { el, fill, user } from "../page/dom.js";
import * as badge from "../parts/badges.js";
import { table } from "../parts/table.js";
import { cost, tokens } from "./parts.js";

export function load(get) {
  return get("/api/llm/sessions");
}

export function draw(body, data) {
  fill(body, el("div", { class: "scroll llm-page" }, data.sessions.length === 0
    ? [el("p", { class: "soft facts" }, "No span names a session. Traces that belong to one conversation are put together by its id."), el("pre", null, "llmobs::span(Kind::Workflow).session_id(id).start()")]
    : [el("p", { class: "soft facts" }, el("strong", null, plural(data.total, "session"))),
      el("div", { class: "table-scroll" }, table(["Last", "Session", "Begins with", "Turns", "Tokens", "Cost", "Lasted"], data.sessions.map((session) => [
        el("span", { class: "faint" }, clock(session.last)),
        [el("a", { class: "main-link", href: `/llm/session/${encodeURIComponent(session.session)}` }, user(session.session, 60)), " ", badge.errors(session.sums.errors), el("div", { class: "faint" }, user(session.ml_app, 60))],
        el("div", { class: "clip llm-io" }, user(session.input ?? "", 200)), String(session.turns), tokens(session.sums), cost(session.sums.cost), duration(Number(BigInt(session.last) - BigInt(session.first))),
      ]), { numbers: 3 }))]));
}
