/**
 * LLM (`/llm`): what programs ask of models. Lists of traces, sessions, evaluations, prompts and experiments; one trace
 * (`/llm/<id>`) with its spans and conversation; one session (`/llm/session/<id>`); one experiment (`/llm/experiment/<id>`).
 * Each view is a module of its own that is loaded when it is first looked at: `load(query, id)` asks, and what it answers
 * draws.
 */

import { get } from "../data/api.js";
import * as stream from "../data/stream.js";
import { el, fill, set } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as keyboard from "../page/keyboard.js";
import * as route from "../page/route.js";
import { pauseButton } from "../parts/pause.js";

const VIEWS = {
  "": { title: "Traces", load: () => import("../llm/traces.js") },
  sessions: { title: "Sessions", load: () => import("../llm/sessions.js") },
  evaluations: { title: "Evaluations", load: () => import("../llm/evaluations.js") },
  prompts: { title: "Prompts", load: () => import("../llm/prompts.js") },
  experiments: { title: "Experiments", load: () => import("../llm/experiments.js") },
};
const ONE = {
  trace: () => import("../llm/trace.js"),
  session: () => import("../llm/session.js"),
  experiment: () => import("../llm/experiment.js"),
};

export function open(main, first) {
  let now = first;
  let timer = 0;
  let turn = 0;
  let lastLoad = 0;
  const pause = pauseButton();
  const [kind, id] = first.argument ? (first.argument.includes("/") ? first.argument.split(/\/(.*)/s) : ["trace", first.argument]) : ["", ""];
  const views = el("div", { class: "segments", role: "group", "aria-label": "View" }, Object.entries(VIEWS).map(([value, { title }]) => el("button", {
    class: "button", type: "button", "data-view": value, onclick: () => route.go(route.address("/llm", { view: value })),
  }, title)));
  const tools = el("div", { class: "llm-tools" });
  const problem = el("div", { class: "note error", role: "alert", hidden: true });
  const body = el("div", { class: "llm-body" });
  const head = kind
    ? el("div", { class: "bar" }, el("a", { class: "button plain", href: kind === "trace" ? "/llm" : `/llm?view=${kind}s` }, icon("back"), { trace: "Traces", session: "Sessions", experiment: "Experiments" }[kind] ?? "LLM"), tools, pause.node)
    : el("div", { class: "bar" }, el("h1", null, "LLM"), views, tools, pause.node);
  fill(main, head, problem, body);

  const schedule = () => {
    if (timer) return;
    timer = setTimeout(() => { timer = 0; load(); }, Math.max(0, lastLoad + 700 - Date.now()));
  };
  const stops = [stream.on("llm", schedule), stream.on("reset", schedule), stream.on("cleared", schedule), pause.stop];
  keyboard.pageKeys([
    { key: "j", label: "Next", run: () => walk(1) },
    { key: "k", label: "Previous", run: () => walk(-1) },
    { key: "v", label: "Next view", run: () => { const names = Object.keys(VIEWS); route.go(route.address("/llm", { view: names[(names.indexOf(view()) + 1) % names.length] })); } },
  ]);
  load();

  function view() {
    return now.query.get("view") ?? "";
  }

  function walk(step) {
    const targets = [...body.querySelectorAll(".llm-span, tbody a.main-link")];
    const at = targets.indexOf(document.activeElement);
    const chosen = at < 0 ? targets.findIndex((target) => target.getAttribute("aria-current") === "true") : at;
    const next = targets[Math.max(0, Math.min(targets.length - 1, chosen + step))];
    next?.focus();
    if (next?.matches(".llm-span")) next.click();
  }

  async function load() {
    lastLoad = Date.now();
    const mine = ++turn;
    try {
      const module = await (kind ? ONE[kind] ?? ONE.trace : (VIEWS[view()] ?? VIEWS[""]).load)();
      const data = await module.load(get, now.query, id);
      if (mine !== turn) return;
      problem.hidden = true;
      for (const button of views.children) set(button, { "aria-pressed": String(button.getAttribute("data-view") === view()) });
      // What is being typed is not taken away by what comes in.
      if (!tools.contains(document.activeElement)) fill(tools, module.tools?.(data, now.query) ?? []);
      module.draw(body, data, now.query);
    } catch (error) {
      if (mine !== turn) return;
      fill(problem, icon("problems"), error.status === 404 ? "It is not here: it never came, or it made room for newer ones." : `This could not be loaded: ${error.message}`);
      problem.hidden = false;
    }
  }

  return {
    update(next) {
      if (next.argument !== now.argument) return false;
      now = next;
      load();
      return true;
    },
    close() {
      turn++;
      clearTimeout(timer);
      for (const stop of stops) stop();
    },
  };
}
