/** Covered lines: strips that show where in a file they are, the files of a run, one file with the tests that reach it. */

import { count, plural } from "../data/format.js";
import { el, fill, style, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as route from "../page/route.js";
import { table } from "../parts/table.js";
import { outcome } from "./parts.js";

const MOST = 400;

/** A list of ranges as words: `1–3, 7`. */
export function words(ranges, most = 60) {
  const text = ranges.slice(0, most).map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`)).join(", ");
  return ranges.length > most ? `${text}, … ${ranges.length - most} more` : text;
}

/**
 * Where the lines are, over the length of the file as far as it is known. The more tests reach a line, the darker it is;
 * the numbers stand in the words beside it.
 */
export function strip(ranges, end) {
  const length = Math.max(end ?? 0, ...ranges.map(([, last]) => last), 1);
  const most = Math.max(1, ...ranges.map(([, , tests]) => tests ?? 1));
  return el("div", { class: "cover-strip", role: "img", "aria-label": `lines ${words(ranges, 20)}` }, ranges.slice(0, MOST).map(([first, last, tests]) => style(
    el("i", { title: `${first === last ? `line ${first}` : `lines ${first}–${last}`}${tests ? `: ${plural(tests, "test")}` : ""}` }),
    { left: `${(100 * (first - 1)) / length}%`, width: `${Math.max(0.4, (100 * (last - first + 1)) / length)}%`, opacity: String(0.35 + (0.65 * (tests ?? most)) / most) })));
}

const lines = (ranges) => ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);

/** What one run of a test reached. */
export function ofRun(files, session) {
  const names = Object.keys(files ?? {}).sort();
  if (names.length === 0) return null;
  return el("details", { class: "suite", open: names.length <= 12 },
    el("summary", null, icon("right"), `Reached ${plural(names.length, "file")}`, el("span", { class: "faint" }, plural(names.reduce((sum, name) => sum + lines(files[name]), 0), "line"))),
    el("ul", { class: "covered" }, names.map((name) => el("li", null,
      el("a", { href: route.address(`/tests/${encodeURIComponent(session)}`, { view: "coverage", file: name }), title: "All tests that reach this file" }, el("code", null, user(name))),
      strip(files[name]), el("span", { class: "faint" }, words(files[name]))))));
}

/** The files of a run, or one of them. */
export function draw(head, body, data, query) {
  const wanted = query.get("file");
  const back = wanted ? route.address(`/tests/${data.id}`, { view: "coverage" }) : `/tests/${data.id}`;
  fill(head, el("a", { class: "button plain", href: back }, icon("back"), wanted ? "Files" : "Run"), el("h1", { class: "clip" }, wanted ? user(wanted, 200) : "Coverage"), el("span", { class: "grow" }));
  if (data.file) return void fill(body, one(data.file));
  const most = Math.max(1, ...data.files.map((file) => file.lines));
  const missing = data.tests - data.tests_with_coverage;
  fill(body,
    el("p", { class: "soft facts" }, el("strong", null, plural(data.lines, "line")), ` in ${plural(data.total, "file")} reached by ${plural(data.tests_with_coverage, "test")}`, missing ? `; ${plural(missing, "test")} sent no coverage` : "", ". The darker, the more tests."),
    data.files.length === 0 ? el("p", { class: "soft" }, "No coverage came with this run. It is recorded by ", el("code", null, "cargo ddtrace test --local"), ", which skips what no change touches by it.")
      : el("div", { class: "table-scroll" }, table(["File", "Where", "Lines", "Tests"], data.files.map((file) => [
        el("a", { href: route.address(`/tests/${data.id}`, { view: "coverage", file: file.path }) }, el("code", null, user(file.path, 200))),
        strip(file.ranges), [count(file.lines), style(el("span", { class: "cover-amount", "aria-hidden": "true" }), { width: `${Math.round((60 * file.lines) / most)}px` })], count(file.tests)]), { numbers: 2 })),
    data.total > data.files.length ? el("p", { class: "soft" }, `${count(data.total - data.files.length)} more files are not shown.`) : null);
}

function one(file) {
  const link = (test) => route.address("/tests/test", { module: test.module, suite: test.suite, name: test.name, parameters: test.parameters });
  const most = Math.max(...file.ranges.map(([, , tests]) => tests), 1);
  return [
    el("p", { class: "soft facts" }, el("strong", null, plural(file.lines, "line")), ` reached by ${plural(file.tests, "test")}`),
    el("div", { class: "cover-large" }, strip(file.ranges)),
    el("div", { class: "cover-columns" },
      el("section", null, el("h2", null, "Tests"), el("div", { class: "table-scroll" }, table(["", "Test", "Lines"], file.by_test.map((test) => [outcome(test.status), [el("a", { href: link(test) }, user(test.name)), el("div", { class: "faint" }, user(test.module), " ", user(test.suite))], count(test.lines)]), { numbers: 2 }))),
      el("section", null, el("h2", null, "Lines"), el("div", { class: "table-scroll" }, table(["Lines", "Tests"], file.ranges.slice(0, 500).map(([first, last, tests]) => [
        first === last ? String(first) : `${first}–${last}`, [count(tests), style(el("span", { class: "cover-amount", "aria-hidden": "true" }), { width: `${Math.round((60 * tests) / most)}px` })]]), { numbers: 1 })))),
  ];
}
