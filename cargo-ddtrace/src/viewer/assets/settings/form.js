/**
 * The form for what `APM_TRACING` can change. A field that is left alone is not part of the file, and
 * the setting stays with the program's own sources.
 */

import { el } from "../page/dom.js";

const SWITCHES = [
  ["log_injection_enabled", "Trace ids in logs"],
  ["tracing_enabled", "Tracing"],
  ["runtime_metrics_enabled", "Runtime metrics"],
  ["data_streams_enabled", "Data streams"],
];

/** `k:v, k:v` as a list; null for nothing. */
function items(text) {
  const list = text.split(",").map((item) => item.trim()).filter(Boolean);
  return list.length > 0 ? list : null;
}

/** `Header:tag, Header` as the file writes it. */
function headers(text) {
  return items(text)?.map((item) => {
    const [header, ...tag] = item.split(":");
    return { header: header.trim(), tag_name: tag.join(":").trim() };
  }) ?? null;
}

/** A label and its field, below each other. */
export function labelled(label, field, hint = "") {
  return el("label", { class: "labelled" }, el("span", { class: "faint" }, label), field, hint ? el("span", { class: "faint hint" }, hint) : null);
}

/** @param {() => void} onChange */
export function settingsForm(onChange) {
  const text = (name, placeholder, mode) => el("input", { class: "field", name, placeholder, inputmode: mode, spellcheck: "false", autocomplete: "off", oninput: onChange });
  const rate = text("tracing_sampling_rate", "0.5", "decimal");
  const tags = text("tracing_tags", "team:payments, region:eu");
  const header = text("tracing_header_tags", "X-Request-Id:request.id");
  const rules = el("textarea", { class: "field", name: "tracing_sampling_rules", rows: "3", spellcheck: "false", oninput: onChange,
    placeholder: '[{"service": "shop", "sample_rate": 0.1, "provenance": "customer"}]' });
  const switches = SWITCHES.map(([key, label]) => {
    const choices = key === "tracing_enabled" ? [["", "As it is"], ["false", "Off, until the next start"]] : [["", "As it is"], ["true", "On"], ["false", "Off"]];
    return { key, label, field: el("select", { class: "field", name: key, onchange: onChange }, choices.map(([value, word]) => el("option", { value }, word))) };
  });
  const node = el("div", { class: "settings-form" },
    labelled("Sampling rate", rate, "from 0 to 1; takes the place of local rules"),
    labelled("Tags on every span", tags),
    labelled("Headers as tags", header),
    switches.map(({ label, field }) => labelled(label, field)),
    labelled("Sampling rules (JSON)", rules));

  /** What the form sets, or a sentence about what is wrong with it. */
  function read() {
    const config = {};
    if (rate.value.trim()) {
      const number = Number(rate.value);
      if (!(number >= 0 && number <= 1)) return { error: "The sampling rate is a number from 0 to 1." };
      config.tracing_sampling_rate = number;
    }
    if (items(tags.value)) config.tracing_tags = items(tags.value);
    if (headers(header.value)) config.tracing_header_tags = headers(header.value);
    if (rules.value.trim()) {
      try {
        config.tracing_sampling_rules = JSON.parse(rules.value);
      } catch (error) {
        return { error: `The sampling rules are no JSON: ${error.message}` };
      }
      if (!Array.isArray(config.tracing_sampling_rules)) return { error: "The sampling rules are a list." };
    }
    for (const { key, field } of switches) if (field.value) config[key] = field.value === "true";
    return Object.keys(config).length > 0 ? { config } : { error: "Nothing is set yet." };
  }
  return { node, read };
}
