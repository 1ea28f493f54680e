/** One trace (`/trace/{id}`): header, map of the whole, waterfall or another view, span details. */

import { ApiError, get, isAborted } from "../data/api.js";
import { register, serviceClass } from "../data/colours.js";
import { count, duration, moment, percent, plural } from "../data/format.js";
import * as stream from "../data/stream.js";
import { el, fill, set, style, user } from "../page/dom.js";
import * as frame from "../page/frame.js";
import { icon } from "../page/icons.js";
import * as keyboard from "../page/keyboard.js";
import * as route from "../page/route.js";
import * as badge from "../parts/badges.js";
import { copy } from "../parts/empty.js";
import { searchField } from "../parts/search.js";
import { splitter } from "../parts/splitter.js";
import { detail } from "../trace/detail.js";
import { minimap } from "../trace/minimap.js";
import * as model from "../trace/model.js";
import { waterfall } from "../trace/waterfall.js";

const VIEWS = [["waterfall", "Waterfall"], ["flame", "Flame"], ["table", "Table"]];

export function open(main, first) {
  const id = first.argument;
  let query = first.query;
  let trace = null;
  let parts = null;
  let outdated = false;
  let closed = false;
  const controller = new AbortController();
  fill(main, el("p", { class: "loading", role: "status" }, "Loading the trace …"));
  load();

  async function load() {
    try {
      const columns = await get(`/api/traces/${encodeURIComponent(id)}`, null, controller.signal);
      if (!closed) build(columns);
    } catch (error) {
      if (!isAborted(error)) failed(error);
    }
  }

  function failed(error) {
    const gone = error instanceof ApiError && (error.code === "evicted" || error.code === "not_found");
    const text = error.code === "evicted" ? "It was here; newer traces have taken its place. cargo ddtrace agent --memory keeps more."
      : error.code === "not_found" ? "It has not come (yet), or the agent was started anew. The page looks again when traces come."
        : error.message;
    fill(main, el("div", { class: "empty", role: "alert" }, icon("traces", "large"), el("h2", null, gone ? "This trace is not here" : "The trace could not be loaded"),
      el("p", null, text), el("a", { href: "/" }, "All traces")));
  }

  function build(columns) {
    parts?.close();
    const before = parts?.state;
    trace = model.read(columns);
    register(trace.summary.services ?? []);
    const segments = model.criticalPath(trace);
    const state = {
      folded: before?.folded ?? new Set(), opened: before?.opened ?? new Set(), groups: model.repeats(trace),
      criticalRows: model.byRow(segments), critical: null, gaps: model.gaps(trace), showGaps: true,
      shortest: 0, hidden: new Set(), matches: null, found: null, top: -1, from: 0, to: trace.total, findText: "", showOnly: false,
    };
    // A trace of thousands of spans opens with its upper levels, the deeper ones one key away.
    if (!before && trace.n > 2000) {
      const depth = model.foldDepth(trace);
      for (let row = 0; row < trace.n; row++) if (trace.depth[row] >= depth && trace.size[row] > 1) state.folded.add(row);
    }
    document.title = `${trace.summary.root?.resource || "Trace"} · ddtrace`;
    parts = compose(state);
  }

  function compose(state) {
    const summary = trace.summary;
    const root = summary.root;
    let view = null;
    let viewName = "";
    let matches = [];
    let findTurn = 0;
    const details = detail(trace, state, {
      onClose: () => select(-1),
      onRow: (row) => select(row, { reveal: true }),
      tab: () => query.get("tab") ?? "overview",
      onTab: (tab) => route.change({ tab: tab === "overview" ? null : tab }),
    });
    const map = minimap(trace, state, zoom);
    const find = searchField({ value: query.get("find") ?? "", label: "Find in this trace", placeholder: "Find in trace: @db.system:sqlite", onChange: (text) => route.change({ find: text }) });
    const findCount = el("span", { class: "faint find-count", role: "status" });
    const only = toggleButton("Matches only", "only");
    const critical = toggleButton("Critical path", "critical", true);
    const gapsButton = toggleButton("Gaps", "gaps", true);
    const shortest = el("select", { class: "field", "aria-label": "Hide short spans", onchange: () => route.change({ shortest: shortest.value }) },
      [["", "All lengths"], ["0.01", "≥ 10 µs"], ["0.1", "≥ 100 µs"], ["1", "≥ 1 ms"], ["10", "≥ 10 ms"], ["100", "≥ 100 ms"]].map(([value, text]) => el("option", { value }, text)));
    const tabs = el("div", { class: "segments", role: "group", "aria-label": "View" }, VIEWS.map(([name, title]) => el("button", { class: "button", type: "button", "data-view": name, onclick: () => route.change({ view: name === "waterfall" ? null : name }) }, title)));
    const services = el("ul", { class: "legend", "aria-label": "Time by service" });
    const share = el("div", { class: "service-share", "aria-hidden": "true" });
    const newer = el("button", { class: "button main", type: "button", hidden: true, onclick: () => { outdated = false; load(); } }, "Newer spans: load");
    const stage = el("div", { class: "stage" });
    const split = el("div", { class: "split" }, stage);
    split.append(splitter({ target: split, property: "--detail", label: "Width of the details", value: 34, least: 20, most: 70, fromEnd: true }), details.node);

    const times = model.timeByService(trace);
    const all = times.reduce((sum, [, time]) => sum + time, 0) || 1;
    fill(share, times.map(([name, time]) => style(el("i", { class: serviceClass(name) }), { width: `${(100 * time) / all}%` })));
    fill(services, times.map(([name, time]) => el("li", null, el("button", { class: "button plain", type: "button", "aria-pressed": "false", "data-service": name, title: "Hide or show", onclick: () => hide(name) },
      badge.service(name), el("span", { class: "faint" }, percent(time / all))))));

    fill(main,
      el("header", { class: "bar trace-bar" },
        el("a", { class: "button plain", href: "/", "aria-label": "All traces" }, icon("back")),
        el("h1", { class: "trace-title", title: root.resource }, badge.service(root.service), badge.resource(root), badge.status(root.status)),
        el("span", { class: "grow" }), newer, tabs,
        el("a", { class: "button", href: route.address("/", { with: trace.id }) }, "Compare"),
        el("button", { class: "button", type: "button", onclick: () => copy(location.href, "Address copied") }, icon("link"), "Link"),
        el("a", { class: "button", href: `/api/traces/${trace.id}/export`, download: `trace-${trace.id}.json` }, "Export")),
      el("div", { class: "trace-facts" },
        fact("Duration", el("strong", null, duration(summary.duration))),
        fact("Spans", count(trace.n)),
        fact("Services", count(times.length)),
        fact("Errors", summary.errors ? badge.errors(summary.errors) : "0"),
        summary.problems ? fact("Problems", badge.problems(summary.problems, summary.worst)) : null,
        fact("Start", moment(trace.start)),
        fact("Sampling", badge.priority(summary.priority)),
        summary.env ? fact("Env", user(summary.env)) : null,
        fact("Trace id", el("button", { class: "button plain link mono", type: "button", title: "Copy", onclick: () => copy(trace.id) }, trace.id))),
      summary.root_missing ? el("div", { class: "note warn" }, icon("problems"), "The root has not arrived: it may still be running, or its service sends elsewhere. What came is shown below.") : null,
      el("div", { class: "share-row" }, share, services),
      map.node,
      el("div", { class: "sub-bar" }, find.node, findCount,
        el("button", { class: "button plain", type: "button", "aria-label": "Previous match", title: "Previous match (p)", onclick: () => step(-1) }, icon("up")),
        el("button", { class: "button plain", type: "button", "aria-label": "Next match", title: "Next match (n)", onclick: () => step(1) }, icon("down")),
        only, el("span", { class: "grow" }), critical, gapsButton, shortest),
      split);

    keyboard.pageKeys(keys());
    const stops = [stream.on("traces", (data) => {
      if (data.traces.some((changed) => changed.id === trace.id && changed.spans !== trace.n)) {
        // Nobody wants the rows to move while reading them; while nothing is chosen they may.
        if (details.row < 0 && trace.n < 2000) load();
        else {
          outdated = true;
          newer.hidden = false;
        }
      }
    }), stream.on("reset", () => { if (outdated) load(); })];

    apply();
    return {
      state, apply,
      close() {
        view?.close();
        map.close();
        details.close();
        for (const stop of stops) stop();
      },
    };

    function fact(name, value) {
      return el("div", { class: "fact" }, el("span", { class: "fact-name" }, name), el("span", { class: "fact-value" }, value));
    }

    function toggleButton(title, name, standard = false) {
      return el("button", { class: "button", type: "button", "data-toggle": name, onclick: () => {
        const on = isOn(name, standard);
        route.change({ [name]: on === standard ? (standard ? "0" : "1") : null });
      } }, title);
    }

    function isOn(name, standard) {
      const value = query.get(name);
      return value === null ? standard : value === "1";
    }

    /** Brings everything on screen to what the address says. */
    function apply() {
      state.critical = isOn("critical", true) ? state.criticalRows : null;
      state.showGaps = isOn("gaps", true);
      state.shortest = Number(query.get("shortest") ?? 0) * 1e6;
      state.hidden = new Set((query.get("hide") ?? "").split("\u001f").filter(Boolean));
      shortest.value = query.get("shortest") ?? "";
      set(critical, { "aria-pressed": String(state.critical !== null) });
      set(gapsButton, { "aria-pressed": String(state.showGaps) });
      set(only, { "aria-pressed": String(isOn("only", false)) });
      for (const button of services.querySelectorAll("button")) set(button, { "aria-pressed": String(!state.hidden.has(button.dataset.service)) });
      const range = (query.get("range") ?? "").split("-").map(Number);
      [state.from, state.to] = range.length === 2 && range[1] > range[0] ? range : [0, trace.total];
      map.mark();
      showView(query.get("view") ?? "waterfall");
      findAgain();
      const row = query.get("span") ? trace.rowOf.get(query.get("span")) ?? -1 : -1;
      if (row !== details.row) {
        details.show(row);
        set(split, { class: row >= 0 ? "split with-detail" : "split" });
        if (row >= 0 && viewName === "waterfall" && view.rowAt(view.list.active)?.row !== row) view.reveal(row, { quiet: true });
      }
    }

    async function showView(name) {
      const known = VIEWS.some(([candidate]) => candidate === name) ? name : "waterfall";
      for (const button of tabs.querySelectorAll("button")) set(button, { "aria-pressed": String(button.dataset.view === known) });
      for (const tool of [critical, gapsButton, shortest]) tool.hidden = known !== "waterfall";
      if (known === viewName) {
        view?.update();
        return;
      }
      view?.close();
      view = null;
      viewName = known;
      if (known === "waterfall") {
        view = waterfall(trace, state, { onSelect: (row) => select(row), onChange: () => view.update(), onZoom: zoom });
        fill(stage, view.node);
        view.update();
        return;
      }
      const { flame } = known === "flame" ? await import("../trace/flame.js") : {};
      const { table } = known === "table" ? await import("../trace/table.js") : {};
      if (viewName !== known || closed) return;
      view = known === "flame"
        ? flame(trace, state, { heavy: query.get("heavy") === "1", onHeavy: (on) => route.change({ heavy: on ? "1" : null }), onSelect: (row) => select(row) })
        : table(trace, state, { by: query.get("by") ?? "", sort: query.get("sort") ?? "", onChange: (by, sort) => route.change({ by, sort }), onSelect: (row) => { route.change({ view: null, span: trace.span[row] }); } });
      fill(stage, view.node);
      if (known === "flame") view.update();
    }

    function select(row, { reveal = false } = {}) {
      route.change({ span: row >= 0 ? trace.span[row] : null });
      if (reveal && viewName === "waterfall") view.reveal(row, { quiet: true });
      if (row < 0 && viewName === "waterfall") view.list.node.focus();
    }

    function zoom(from, to) {
      const least = Math.max(1, trace.total / 1e5);
      const a = Math.max(0, Math.min(from, trace.total - least));
      const b = Math.min(trace.total, Math.max(to, a + least));
      route.change({ range: a <= 0 && b >= trace.total ? null : `${Math.round(a)}-${Math.round(b)}` });
    }

    function hide(name) {
      const hidden = new Set(state.hidden);
      if (hidden.has(name)) hidden.delete(name);
      else hidden.add(name);
      route.change({ hide: [...hidden].join("\u001f") });
    }

    async function findAgain() {
      const wanted = query.get("find") ?? "";
      find.set(wanted);
      const showOnly = isOn("only", false);
      if (wanted === state.findText) {
        if (state.showOnly !== showOnly) {
          state.showOnly = showOnly;
          state.matches = showOnly && state.found ? state.found : null;
          view?.update();
        }
        return;
      }
      state.findText = wanted;
      state.showOnly = showOnly;
      const mine = ++findTurn;
      if (!wanted) {
        state.found = state.matches = null;
        matches = [];
        findCount.textContent = "";
        find.wrong(null);
        view?.update();
        return;
      }
      try {
        const answer = await get(`/api/traces/${trace.id}/find`, { q: wanted });
        if (mine !== findTurn) return;
        find.wrong(null);
        matches = answer.rows.filter((row) => row < trace.n).sort((a, b) => a - b);
        state.found = new Set(matches);
        state.matches = showOnly ? state.found : null;
        findCount.textContent = matches.length === 0 ? "no match" : plural(answer.matched, "match", "matches");
        view?.update();
        if (matches.length > 0 && viewName === "waterfall" && !query.get("span")) view.reveal(matches[0], { quiet: true });
      } catch (error) {
        if (mine !== findTurn) return;
        find.wrong(error.at ?? 0, error.message);
        findCount.textContent = error.message;
      }
    }

    function step(direction) {
      if (matches.length === 0 || viewName !== "waterfall") return;
      const here = view.rowAt(view.list.active)?.row ?? -1;
      goTo(matches, here, direction);
      const index = matches.indexOf(view.rowAt(view.list.active)?.row);
      if (index >= 0) findCount.textContent = `${index + 1} of ${matches.length}`;
    }

    function goTo(rows, here, direction) {
      const next = direction > 0 ? rows.find((row) => row > here) ?? rows[0] : [...rows].reverse().find((row) => row < here) ?? rows[rows.length - 1];
      if (next === undefined) return;
      view.reveal(next);
    }

    function errorStep() {
      if (viewName !== "waterfall") return;
      const rows = [];
      for (let row = 0; row < trace.n; row++) if (trace.flags[row] & model.FLAG.error) rows.push(row);
      if (rows.length === 0) frame.announce("This trace has no errors");
      else goTo(rows, view.rowAt(view.list.active)?.row ?? -1, 1);
    }

    function keys() {
      const inList = (event) => (viewName === "waterfall" ? view.list.key(event) : false);
      const moves = [["j", "Next row"], ["k", "Previous row"], ["ArrowRight", "Unfold"], ["ArrowLeft", "Fold"], ["ArrowDown", ""], ["ArrowUp", ""], ["Enter", "Fold or unfold"]];
      const length = () => state.to - state.from;
      const middle = () => (state.from + state.to) / 2;
      return [
        ...moves.map(([key, label]) => ({ key, label, run: inList })),
        { key: "n", label: "Next match", run: () => step(1) },
        { key: "p", label: "Previous match", run: () => step(-1) },
        { key: "e", label: "Next error", run: errorStep },
        { key: "c", label: "Critical path", run: () => critical.click() },
        { key: "w", label: "Zoom in", run: () => zoom(middle() - length() / 4, middle() + length() / 4) },
        { key: "s", label: "Zoom out", run: () => zoom(middle() - length(), middle() + length()) },
        { key: "a", label: "Move left", run: () => zoom(Math.max(0, state.from - length() / 4), Math.max(length(), state.to - length() / 4)) },
        { key: "d", label: "Move right", run: () => zoom(Math.min(trace.total - length(), state.from + length() / 4), Math.min(trace.total, state.to + length() / 4)) },
        { key: "0", label: "Whole trace", run: () => zoom(0, trace.total) },
        { key: "f", label: "Flame or waterfall", run: () => route.change({ view: viewName === "flame" ? null : "flame" }) },
        { key: "Escape", label: "Close the span, or back", run: () => { if (details.row >= 0) select(-1); else if (state.to - state.from < trace.total) zoom(0, trace.total); else route.go("/"); } },
      ];
    }
  }

  const stopWaiting = stream.on("traces", (data) => {
    if (!trace && data.traces.some((changed) => changed.id === id)) load();
  });

  return {
    update(next) {
      if (next.argument !== id) return false;
      query = next.query;
      parts?.apply();
      return true;
    },
    close() {
      closed = true;
      controller.abort();
      parts?.close();
      stopWaiting();
    },
  };
}
