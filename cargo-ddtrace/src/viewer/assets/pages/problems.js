/** Problems (`/problems`): what is wrong with what was sent, by rule, worst first. */

import { get } from "../data/api.js";
import { ago, clock, count } from "../data/format.js";
import * as stream from "../data/stream.js";
import { el, fill, set, user } from "../page/dom.js";
import * as frame from "../page/frame.js";
import { icon } from "../page/icons.js";
import * as keyboard from "../page/keyboard.js";
import * as route from "../page/route.js";
import { empty } from "../parts/empty.js";
import { LEVELS, level, origin } from "../parts/problems.js";
import { table } from "../parts/table.js";

export function open(main, first) {
  let query = first.query;
  let data = null;
  let timer = 0;
  const opened = new Set([query.get("rule")].filter(Boolean));
  const levels = el("div", { class: "segments", role: "group", "aria-label": "Level" });
  const body = el("div", { class: "scroll problems" });
  const problem = el("div", { class: "note error", role: "alert", hidden: true });
  fill(main, el("div", { class: "bar" }, el("h1", null, "Problems"), el("span", { class: "grow" }), levels), problem, body);
  const schedule = () => { if (!timer) timer = setTimeout(() => { timer = 0; load(); }, 300); };
  const stops = [stream.on("problems", schedule), stream.on("reset", schedule), stream.on("cleared", schedule)];
  keyboard.pageKeys([
    { key: "j", label: "Next rule", run: () => walk(1) },
    { key: "k", label: "Previous rule", run: () => walk(-1) },
  ]);
  load();

  function walk(step) {
    const rules = [...body.querySelectorAll("summary")];
    const at = rules.findIndex((rule) => rule === document.activeElement);
    rules[Math.max(0, Math.min(rules.length - 1, at + step))]?.focus();
  }

  async function load() {
    try {
      data = await get("/api/problems", { level: query.get("level") });
      problem.hidden = true;
      draw();
    } catch (error) {
      fill(problem, icon("problems"), `The list could not be loaded: ${error.message}`);
      problem.hidden = false;
    }
  }

  function draw() {
    const own = query.get("level") ?? "";
    fill(levels, [["", "All"], ...Object.entries(LEVELS).map(([id, { title }]) => [id, title])].map(([id, title]) => el("button", {
      class: "button", type: "button", "aria-pressed": String(own === id), title: LEVELS[id]?.text ?? "", onclick: () => route.change({ level: id }),
    }, title, id && data.totals[id] ? el("span", { class: "faint" }, count(data.totals[id])) : null)));
    if (data.groups.length === 0) {
      const requests = frame.currentStatus()?.counts?.requests ?? 0;
      fill(body, empty({
        icon: "check", title: own ? "No problem of this level" : requests > 0 ? "No problems" : "Nothing to check yet",
        text: requests > 0 ? `${count(requests)} requests were checked strictly: ids, structure, times, chunk tags, values, headers.` : "Every payload is checked as strictly as a Datadog Agent and its back end would, and more. What is wrong is listed here with what to do.",
        snippets: requests > 0 ? [] : ["cargo ddtrace run"],
      }));
      return;
    }
    const focused = document.activeElement?.getAttribute?.("data-rule");
    fill(body, data.groups.map((group) => {
      const details = el("details", { class: "problem-group", open: opened.has(group.rule), ontoggle: () => { if (details.open) opened.add(group.rule); else opened.delete(group.rule); } },
        el("summary", { "data-rule": group.rule },
          icon("right"), level(group.level), el("span", { class: "problem-sentence" }, user(group.sentence)), el("code", { class: "faint rule" }, user(group.rule)),
          el("span", { class: "number problem-count" }, `${count(group.count)} ×`), el("span", { class: "faint problem-last", title: `first ${clock(group.first, true)}` }, ago(group.last))),
        el("div", { class: "problem-body" },
          el("p", { class: "soft" }, `${LEVELS[group.level]?.title ?? group.level}: ${LEVELS[group.level]?.text ?? ""}.`),
          group.advice ? el("p", null, el("strong", null, "What to do: "), user(group.advice)) : null,
          el("div", { class: "table-scroll" }, table(["Where", "Found", "From"], group.examples.map((example) => [
            el("code", null, user(example.at)), user(example.detail || "–", 600), origin(example)])))));
      return details;
    }));
    if (focused) [...body.querySelectorAll("summary")].find((node) => node.getAttribute("data-rule") === focused)?.focus();
    set(body, { "aria-label": "Rules" });
  }

  return {
    update(next) {
      query = next.query;
      load();
      return true;
    },
    close() {
      clearTimeout(timer);
      for (const stop of stops) stop();
    },
  };
}
