/** Settings (`/settings`): pushes settings and files through remote configuration, and shows what became of them. */

import { get, send } from "../data/api.js";
import { ago, bytes, plural, significant } from "../data/format.js";
import * as stream from "../data/stream.js";
import { el, fill, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as badge from "../parts/badges.js";
import { empty, toast } from "../parts/empty.js";
import { table } from "../parts/table.js";
import { labelled, settingsForm } from "../settings/form.js";

const STATES = {
  sent: ["", "Sent"], received: ["", "Received"], applied: ["good", "Applied"], error: ["error", "Error"], withdrawn: ["warn", "Taken back"],
};

export function open(main) {
  let data = { files: [], clients: [] };
  let timer = 0;
  const everybody = JSON.stringify({});
  const target = el("select", { class: "field", "aria-label": "For", onchange: preview });
  const form = settingsForm(preview);
  const shown = el("pre", { class: "preview", "aria-label": "Preview" });
  const pushButton = el("button", { class: "button main", type: "button", onclick: pushSettings }, "Push settings");
  const product = el("input", { class: "field", value: "APM_TRACING", spellcheck: "false", "aria-label": "Product" });
  const id = el("input", { class: "field", value: "by-hand", spellcheck: "false" });
  const name = el("input", { class: "field", value: "config", spellcheck: "false" });
  const content = el("textarea", { class: "field", rows: "5", spellcheck: "false", placeholder: '{"lib_config": {}}' });
  const force = el("input", { type: "checkbox" });
  const revert = el("button", { class: "button", type: "button", onclick: () => withdraw({ all: true }) }, "Revert all");
  const problem = el("div", { class: "note error", role: "alert", hidden: true });
  const files = el("section", { "aria-label": "Pushed files" });
  const clients = el("section", { "aria-label": "Programs" });
  const nobody = el("div", { hidden: true });
  fill(main,
    el("div", { class: "bar" }, el("h1", null, "Settings"), el("span", { class: "grow" }), labelled("For", target), revert), problem,
    el("div", { class: "scroll settings" }, nobody,
      el("div", { class: "settings-columns" },
        el("section", null, el("h2", null, "Change a setting"), form.node, shown, pushButton),
        el("section", null, el("h2", null, "Push a file"),
          el("div", { class: "settings-form" }, labelled("Product", product), labelled("Id", id), labelled("Name", name), labelled("Content, sent as it is", content)),
          el("label", { class: "check" }, force, "even if no program can take it"),
          el("button", { class: "button", type: "button", onclick: pushFile }, "Push file"))),
      files, clients));
  const schedule = () => { if (!timer) timer = setTimeout(() => { timer = 0; load(); }, 100); };
  const stops = [stream.on("config", schedule), stream.on("reset", schedule)];
  preview();
  load();

  async function load() {
    try {
      data = await get("/api/remote-config");
      problem.hidden = true;
      draw();
    } catch (error) {
      complain(`What was pushed could not be loaded: ${error.message}`);
    }
  }

  function complain(text) {
    fill(problem, icon("problems"), el("span", null, text));
    problem.hidden = false;
  }

  function chosen() {
    return JSON.parse(target.value || everybody);
  }

  /** The file that the form makes. */
  function file() {
    const { config, error } = form.read();
    if (error) return { error };
    const { service, env, runtime_id } = chosen();
    const content = { action: "enable", service_target: { service: service || "*", env: env || "*" }, lib_config: config };
    const who = [service, env, runtime_id].filter(Boolean).join("-").replaceAll("/", "_") || "everybody";
    return { product: "APM_TRACING", config_id: `settings-${who}`.slice(0, 200), content, target: chosen() };
  }

  function preview() {
    const made = file();
    shown.textContent = made.error ?? JSON.stringify(made.content, null, 2);
    pushButton.disabled = Boolean(made.error);
  }

  async function push(body) {
    try {
      const { path } = await send("POST", "/api/remote-config", body);
      toast(`Pushed ${path}`);
      await load();
    } catch (error) {
      complain(`Not pushed: ${error.message}.`);
    }
  }

  function pushSettings() {
    push(file());
  }

  function pushFile() {
    push({ product: product.value.trim(), config_id: id.value.trim(), name: name.value.trim(), text: content.value, target: chosen(), force: force.checked });
  }

  async function withdraw(body) {
    try {
      const { withdrawn } = await send("DELETE", "/api/remote-config", body);
      toast(`${plural(withdrawn, "file")} taken back`);
      await load();
    } catch (error) {
      complain(`Not taken back: ${error.message}.`);
    }
  }

  function draw() {
    const here = data.clients.filter((client) => client.connected);
    revert.disabled = data.files.length === 0;
    nobody.hidden = data.clients.length > 0;
    if (data.clients.length === 0 && !nobody.firstChild) {
      fill(nobody, empty({
        icon: "sliders", title: "No program asks for settings yet",
        text: "A program with ddtrace asks every few seconds whether its settings have changed. What is pushed here waits for it.",
        snippets: ["cargo ddtrace run"],
      }));
    }
    drawTargets(here);
    fill(files, data.files.length === 0 ? null : [el("h2", null, "Pushed"), el("div", { class: "table-scroll" }, table(["File", "Version", "For", "Content", ""],
      data.files.map((pushed) => [
        el("code", null, user(pushed.path)), String(pushed.version),
        user([pushed.target.service, pushed.target.env, pushed.target.runtime_id].filter(Boolean).join(" · ") || "everybody"),
        el("code", { title: bytes(pushed.bytes) }, user(pushed.content, 200)),
        el("button", { class: "button", type: "button", "aria-label": `Take back ${pushed.path}`, onclick: () => withdraw({ path: pushed.path }) }, "Take back"),
      ])))]);
    fill(clients, data.clients.length === 0 ? null : [el("h2", null, "Programs"), el("div", { class: "table-scroll" }, table(["Program", "Process", "Asks", "For", "Files"],
      data.clients.map((client) => [
        [badge.service(client.service), client.env ? el("span", { class: "faint" }, " ", user(client.env)) : null],
        el("code", { title: client.runtime_id }, user(client.runtime_id.slice(0, 8))),
        client.connected ? (client.interval_ms === null ? "once so far" : `every ${significant(client.interval_ms / 1000)} s`) : `no more; last ${ago(client.last_seen)}`,
        user(client.products.join(", ")),
        [client.error ? el("div", { class: "badge error" }, user(client.error)) : null, client.files.map(state)],
      ])))]);
  }

  function drawTargets(here) {
    const options = new Map([[everybody, "Everybody"]]);
    for (const { service, env, runtime_id } of here) {
      options.set(JSON.stringify({ service }), `Service ${service}`);
      if (env) options.set(JSON.stringify({ service, env }), `Service ${service} in ${env}`);
      options.set(JSON.stringify({ service, runtime_id }), `Process ${runtime_id.slice(0, 8)} of ${service}`);
    }
    const before = target.value;
    const same = target.options.length === options.size && [...target.options].every((option) => options.has(option.value));
    if (same) return;
    fill(target, [...options].map(([value, word]) => el("option", { value }, word)));
    target.value = options.has(before) ? before : everybody;
    preview();
  }

  function state(file) {
    const [kind, word] = STATES[file.state] ?? ["", file.state];
    const took = file.after_ms === null ? "" : ` after ${file.after_ms} ms`;
    return el("div", { class: "file-state", "data-state": file.state }, el("span", { class: `badge ${kind}` }, word), el("code", { class: "faint" }, user(file.path.split("/").slice(2).join("/"))),
      el("span", { class: "faint" }, took), file.error ? el("span", { class: "bad" }, user(file.error)) : null);
  }

  return {
    close() {
      clearTimeout(timer);
      for (const stop of stops) stop();
    },
  };
}
