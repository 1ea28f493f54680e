/**
 * Tests: the runs (`/tests`), one of them with its tests (`/tests/<session>`), and one test over all of them
 * (`/tests/test?module=…`). Three views of one page, since each is the way to the next.
 */

import { get, send } from "../data/api.js";
import { count, duration, moment, plural } from "../data/format.js";
import * as stream from "../data/stream.js";
import { el, fill, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as keyboard from "../page/keyboard.js";
import * as route from "../page/route.js";
import { empty, snippet, toast } from "../parts/empty.js";
import { table } from "../parts/table.js";
import * as coverage from "../tests/coverage.js";
import { bars, mark, outcome } from "../tests/parts.js";

export function open(main, first) {
  let now = first;
  let timer = 0;
  let turn = 0;
  const head = el("div", { class: "bar" });
  const problem = el("div", { class: "note error", role: "alert", hidden: true });
  const body = el("div", { class: "scroll tests" });
  fill(main, head, problem, body);
  const schedule = () => { if (!timer) timer = setTimeout(() => { timer = 0; load(); }, 300); };
  const stops = [stream.on("tests", schedule), stream.on("reset", schedule), stream.on("cleared", schedule)];
  keyboard.pageKeys([
    { key: "j", label: "Next row", run: () => walk(1) },
    { key: "k", label: "Previous row", run: () => walk(-1) },
  ]);
  load();

  function walk(step) {
    const links = [...body.querySelectorAll("tbody a")];
    const at = links.indexOf(document.activeElement);
    links[Math.max(0, Math.min(links.length - 1, at + step))]?.focus();
  }

  async function load() {
    const mine = ++turn;
    const query = now.query;
    const id = now.argument;
    try {
      const draw = !id ? list(await get("/api/tests/sessions"))
        : id === "test" ? test(await get("/api/tests/test", Object.fromEntries(["module", "suite", "name", "parameters"].map((key) => [key, query.get(key)]))))
          : query.get("view") === "coverage" ? covered(await get(`/api/tests/sessions/${encodeURIComponent(id)}/coverage`, { file: query.get("file") }))
          : session(await get(`/api/tests/sessions/${encodeURIComponent(id)}`, { status: query.get("status"), q: query.get("q") }));
      if (mine !== turn) return;
      problem.hidden = true;
      draw();
    } catch (error) {
      if (mine !== turn) return;
      fill(problem, icon("problems"), `This could not be loaded: ${error.message}`);
      problem.hidden = false;
    }
  }

  function covered(data) {
    return () => coverage.draw(head, body, data, now.query);
  }

  function list({ sessions, data, trouble }) {
    return () => {
      fill(head, el("h1", null, "Tests"), el("span", { class: "grow" }), data ? el("span", { class: "faint" }, "kept in ", user(data)) : null);
      if (sessions.length === 0) {
        fill(body, empty({
          icon: "check", title: "No test run yet",
          text: "Every run of a project's tests is shown here with its failures, and each test with what it did before. Nothing has to be changed in the project.",
          reasons: ["No session was opened at this address."],
          snippets: ["cargo ddtrace test --local"],
        }));
        return;
      }
      fill(body,
        trouble ? el("div", { class: "note warn" }, icon("problems"), "Runs are not kept: ", user(trouble)) : null,
        bars(sessions.slice(0, 30).reverse(), (one) => ({ value: Number(one.duration), bad: one.status === "fail", title: `${moment(one.start)}: ${duration(one.duration)}, ${one.failed} failed` }), "Duration of the last runs"),
        el("div", { class: "table-scroll" }, table(["", "Started", "Command", "Branch", "Tests", "Failed", "Flaky", "Skipped", "Retried", "Took"], sessions.map((one) => [
          outcome(one.interrupted ? "interrupted" : one.status || "running"),
          el("a", { href: `/tests/${one.id}` }, moment(one.start).slice(0, 19)),
          el("code", null, user(one.command, 80)),
          [user(one.branch || "–", 40), one.commit ? el("span", { class: "faint" }, " ", user(one.commit.slice(0, 7))) : null],
          count(one.tests), one.failed ? el("strong", { class: "bad" }, count(one.failed)) : "0", count(one.flaky),
          [count(one.skipped), one.skipped_by_impact ? el("span", { class: "faint", title: "because no change touches them" }, ` (${one.skipped_by_impact})`) : null],
          count(one.retried), duration(one.duration),
        ]), { numbers: 4 })));
    };
  }

  function link(test) {
    const query = new URLSearchParams({ module: test.module, suite: test.suite, name: test.name });
    if (test.parameters) query.set("parameters", test.parameters);
    return `/tests/test?${query}`;
  }

  function session(one) {
    return () => {
      const status = now.query.get("status") ?? "";
      const field = el("input", { class: "field", type: "search", placeholder: "Module, suite or test", "aria-label": "Module, suite or test", value: now.query.get("q") ?? "", spellcheck: "false", onchange: () => route.change({ q: field.value.trim() }) });
      fill(head, el("a", { class: "button plain", href: "/tests" }, icon("back"), "Runs"), el("h1", null, outcome(one.interrupted ? "interrupted" : one.status || "running"), " ", user(one.command || "Test run", 80)),
        el("span", { class: "grow" }), one.covered ? el("a", { class: "button", href: `/tests/${one.id}?view=coverage` }, icon("traces"), "Coverage") : null, el("div", { class: "search" }, icon("search"), field),
        el("div", { class: "segments", role: "group", "aria-label": "Status" }, [["", "All", one.tests], ["fail", "Failed", one.failed], ["flaky", "Flaky", one.flaky], ["new", "New", one.new], ["skip", "Skipped", one.skipped]].map(([value, title, number]) => el("button", {
          class: "button", type: "button", "aria-pressed": String(status === value), onclick: () => route.change({ status: value || null }),
        }, title, el("span", { class: "faint" }, count(number))))));
      const suites = new Map();
      for (const row of one.rows) {
        const key = `${row.module}\n${row.suite}`;
        if (!suites.has(key)) suites.set(key, []);
        suites.get(key).push(row);
      }
      fill(body,
        el("p", { class: "soft facts" }, `${plural(one.tests, "test")} in ${duration(one.duration)}, `, user(one.service || "no service"), one.branch ? [" on ", user(one.branch)] : null, one.commit ? [" at ", el("code", null, user(one.commit.slice(0, 12)))] : null, `, ${moment(one.start).slice(0, 19)}`, one.left_out ? `; ${plural(one.left_out, "run")} left out` : null),
        one.rows.length === 0 ? el("p", { class: "soft" }, "No test is like this.") : null,
        [...suites.values()].map((rows) => el("details", { class: "suite", open: suites.size < 30 || rows.some((row) => row.status === "fail") },
          el("summary", null, icon("right"), el("strong", null, user(rows[0].module)), " ", user(rows[0].suite), el("span", { class: "faint" }, ` ${plural(rows.length, "test")}`), rows.some((row) => row.status === "fail") ? el("span", { class: "badge error" }, `${rows.filter((row) => row.status === "fail").length} failed`) : null),
          el("div", { class: "table-scroll" }, table(["", "Test", "", "Runs", "Took"], rows.map((row) => [
            outcome(row.flaky ? "flaky" : row.status),
            [el("a", { href: link(row) }, user(row.name)), row.error ? el("div", { class: "bad clip" }, user(row.error, 200)) : null, row.skip_reason ? el("div", { class: "faint" }, user(row.skip_reason, 200)) : null],
            row.marks.map(mark), count(row.runs), duration(row.duration),
          ]), { numbers: 3 })))),
        one.matched > one.rows.length ? el("p", { class: "soft" }, `${count(one.matched - one.rows.length)} more are not shown; search for them.`) : null);
    };
  }

  function test(one) {
    return () => {
      const newest = one.sessions[0];
      const runs = one.sessions.flatMap((session) => session.runs);
      const flaky = one.sessions.filter((session) => session.flaky).length;
      fill(head, el("a", { class: "button plain", href: `/tests/${newest.id}` }, icon("back"), "Run"), el("h1", null, user(one.name)), el("span", { class: "faint" }, user(one.module), " ", user(one.suite)));
      const wish = (key, title, hint) => el("label", { class: "check", title: hint }, el("input", {
        type: "checkbox", checked: one.wishes?.[key] === true,
        onchange: (event) => change({ [key]: event.target.checked }),
      }), title);
      async function change(wishes) {
        try {
          await send("POST", "/api/tests/management", { module: one.module, suite: one.suite, name: one.name, ...one.wishes, ...wishes });
          toast("Saved; the next run obeys");
        } catch (error) {
          toast(`Not saved: ${error.message}`);
        }
        load();
      }
      fill(body,
        el("p", { class: "soft facts" }, `${plural(one.sessions.length, "run")} of the suite`, flaky ? [", ", el("strong", null, `flaky in ${flaky}`)] : null, newest.runs[0].file ? [", ", el("code", null, user(`${newest.runs[0].file}:${newest.runs[0].line}`))] : null, newest.runs[0].owners ? [", owned by ", user(newest.runs[0].owners)] : null),
        el("div", { class: "wishes", role: "group", "aria-label": "What is wanted of this test" },
          wish("quarantined", "Quarantine", "It runs, but its failure fails nothing"),
          wish("disabled", "Disable", "It does not run"),
          wish("attempt_to_fix", "Attempt to fix", "It runs many times, and every failure counts")),
        bars(runs.slice(0, 60).reverse(), (run) => ({ value: Number(run.duration), bad: run.status === "fail", title: `${moment(run.start)}: ${run.status}, ${duration(run.duration)}` }), "Duration of the last runs"),
        one.sessions.map((session, index) => el("section", null,
          el("h2", null, outcome(session.flaky ? "flaky" : session.status), " ", el("a", { href: `/tests/${session.id}` }, moment(session.start).slice(0, 19)), session.branch ? el("span", { class: "faint" }, " ", user(session.branch)) : null),
          session.runs.map((run, at) => el("div", { class: "run" },
            el("p", null, outcome(run.status), ` ${duration(run.duration)}`, at > 0 || run.retry_reason ? el("span", { class: "faint" }, ` retry: `, user(run.retry_reason.replaceAll("_", " "))) : null, run.execution ? el("span", { class: "faint" }, " ", user(run.execution)) : null, " ", run.marks.map(mark), run.skip_reason ? user(run.skip_reason) : null),
            run.error_type || run.error_message ? el("div", { class: "failure" }, el("p", { class: "bad" }, el("strong", null, user(run.error_type)), " ", user(run.error_message, 4000)), run.error_stack ? el("pre", null, user(run.error_stack, 8000)) : null) : null,
            index === 0 ? coverage.ofRun(run.coverage, session.id) : null)))),
        el("h2", null, "Run it again"),
        snippet(`cargo ddtrace test --local ${one.name}`));
    };
  }

  return {
    update(next) {
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
