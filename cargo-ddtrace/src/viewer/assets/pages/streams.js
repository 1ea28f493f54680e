/**
 * Streams (`/streams`): which way messages go, how long they take, how far their readers are behind. Four views of one
 * answer: the map, the pathways as a list, the offsets, and transactions.
 */

import { get } from "../data/api.js";
import { register } from "../data/colours.js";
import * as stream from "../data/stream.js";
import { el, fill, set } from "../page/dom.js";
import * as frame from "../page/frame.js";
import { icon } from "../page/icons.js";
import * as keyboard from "../page/keyboard.js";
import * as route from "../page/route.js";
import { empty } from "../parts/empty.js";
import { pauseButton } from "../parts/pause.js";
import { picture } from "../streams/picture.js";
import { side } from "../streams/side.js";
import { edges, lags, pathways, transactions } from "../streams/tables.js";

const WINDOWS = [["1m", "1 min"], ["5m", "5 min"], ["30m", "30 min"], ["2h", "2 h"], ["all", "everything"]];
const VIEWS = [["", "Map"], ["pathways", "Pathways"], ["lag", "Lag"], ["transactions", "Transactions"]];

export function open(main, first) {
  let query = first.query;
  let data = null;
  let tracked = null;
  let timer = 0;
  let turn = 0;
  let lastLoad = 0;
  const span = el("select", { class: "field", "aria-label": "Window", onchange: () => route.change({ window: span.value }) }, WINDOWS.map(([value, text]) => el("option", { value }, text)));
  const pause = pauseButton();
  const views = el("div", { class: "segments", role: "group", "aria-label": "View" }, VIEWS.map(([value, title]) => el("button", {
    class: "button", type: "button", "data-view": value, onclick: () => route.change({ view: value || null, node: null, edge: null }),
  }, title, el("span", { class: "faint" }))));
  const problem = el("div", { class: "note error", role: "alert", hidden: true });
  const drawing = el("div", { class: "map-picture scroll" });
  const aside = el("aside", { class: "map-side scroll", "aria-label": "Selected" });
  const body = el("div", { class: "map-body" }, drawing, aside);
  const sheet = el("div", { class: "scroll streams", hidden: true });
  fill(main, el("div", { class: "bar" }, el("h1", null, "Streams"), views, el("span", { class: "grow" }), span, pause.node), problem, body, sheet);

  const schedule = () => {
    if (timer) return;
    timer = setTimeout(() => { timer = 0; load(); }, Math.max(0, lastLoad + 1000 - Date.now()));
  };
  const stops = [stream.on("streams", schedule), stream.on("reset", schedule), stream.on("cleared", schedule), pause.stop];
  // Rates fall while nothing comes.
  const pulse = setInterval(() => { if (!stream.view().paused) schedule(); }, 5000);
  keyboard.pageKeys([
    { key: "j", label: "Next node", run: () => walk(1) },
    { key: "k", label: "Previous node", run: () => walk(-1) },
    { key: "v", label: "Next view", run: () => { const at = VIEWS.findIndex(([value]) => value === view()); route.change({ view: VIEWS[(at + 1) % VIEWS.length][0] || null, node: null, edge: null }); } },
    { key: "Escape", label: "Select nothing", run: () => (query.get("node") || query.get("edge") ? choose({}) : history.back()) },
  ]);
  span.value = query.get("window") ?? "5m";
  load();

  const view = () => query.get("view") ?? "";

  async function load() {
    lastLoad = Date.now();
    const mine = ++turn;
    try {
      const wanted = view() === "transactions" ? get("/api/streams/transactions", { q: query.get("q"), limit: 500 }) : null;
      const next = await get("/api/streams", { window: query.get("window") ?? "5m" });
      const steps = await wanted;
      if (mine !== turn) return;
      data = next;
      tracked = steps;
      register(data.nodes.filter((node) => node.kind === "service").map((node) => node.label));
      problem.hidden = true;
      draw();
    } catch (error) {
      if (mine !== turn) return;
      fill(problem, icon("problems"), `The streams could not be loaded: ${error.message}`);
      problem.hidden = false;
    }
  }

  function choose({ node = null, edge = null }) {
    route.change({ node, edge });
  }

  function walk(step) {
    if (!data || data.nodes.length === 0) return;
    const at = data.nodes.findIndex((node) => node.id === query.get("node"));
    const next = data.nodes[(at + step + data.nodes.length) % data.nodes.length];
    choose({ node: next.id });
    frame.announce(next.label);
  }

  function draw() {
    const numbers = { "": data.nodes.length, pathways: data.pathways.length, lag: data.lag.length, transactions: data.counts.transactions };
    for (const button of views.children) {
      const value = button.getAttribute("data-view");
      set(button, { "aria-pressed": String(value === view()) });
      button.lastChild.textContent = numbers[value] ? String(numbers[value]) : "";
    }
    const isMap = view() === "" && data.nodes.length > 0;
    body.hidden = !isMap;
    sheet.hidden = isMap;
    if (data.counts.payloads === 0) return void fill(sheet, nothing());
    if (isMap) {
      picture(drawing, data, { node: query.get("node"), edge: query.get("edge"), choose });
      drawing.append(el("div", { class: "map-list" }, edges(data, query.get("edge"), choose)));
      fill(aside, side(data, { node: query.get("node"), edge: query.get("edge"), choose }));
    } else if (view() === "pathways") fill(sheet, pathways(data));
    else if (view() === "lag") fill(sheet, lags(data.lag));
    else if (view() === "transactions") fill(sheet, transactions(tracked ?? { transactions: [], matched: 0 }, query.get("q") ?? ""));
    else fill(sheet, empty({
      icon: "streams", title: "Nothing in this window",
      text: "Checkpoints came, but they are older than the window.", reasons: ["Choose a longer window above."], snippets: ["cargo ddtrace run"],
    }));
  }

  function nothing() {
    return empty({
      icon: "streams", title: "No streams yet",
      text: "The map shows which way messages go from service to service through topics and queues, how long each step takes, and how far consumers are behind.",
      reasons: ["No pipeline statistics have come. Data Streams is off by default: set DD_DATA_STREAMS_ENABLED=true. They are sent every ten seconds."],
      snippets: ['#[dsm_checkpoint(consume, type = "kafka", topic = message.topic(), carrier = message.headers())]', "DD_DATA_STREAMS_ENABLED=true cargo ddtrace run"],
    });
  }

  return {
    update(next) {
      const before = [query.get("window"), query.get("view"), query.get("q")].join();
      query = next.query;
      span.value = query.get("window") ?? "5m";
      if (before !== [query.get("window"), query.get("view"), query.get("q")].join()) load();
      else if (data) draw();
      return true;
    },
    close() {
      turn++;
      clearTimeout(timer);
      clearInterval(pulse);
      for (const stop of stops) stop();
    },
  };
}
