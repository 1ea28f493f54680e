/**
 * What happens in the agent, as it happens: one stream of server-sent events for the whole page.
 * Pausing stops the delivery to pages, not the stream; on resuming, a page that missed something
 * gets one `reset` and loads again. The browser reconnects by itself. A page in a hidden tab lets go
 * of its stream, since a browser opens only six connections to one host, whatever the tabs.
 */

/** @typedef {"traces"|"problems"|"requests"|"status"|"config"|"tests"|"streams"|"llm"|"cleared"|"reset"|"state"} Topic */

/** @type {Map<Topic, Set<(data: any) => void>>} */
const listeners = new Map();
let source = null;
let paused = false;
let missed = false;
/** @type {"connecting"|"live"|"lost"} */
let state = "connecting";

export function start() {
  connect();
  addEventListener("pagehide", () => source.close());
  document.addEventListener("visibilitychange", () => {
    source.close();
    if (document.hidden) return;
    connect();
    if (paused) missed = true;
    else deliver("reset", {});
  });
}

function connect() {
  source = new EventSource("/api/stream?topics=traces,problems,requests,status,config,tests,streams,llm");
  source.addEventListener("open", () => become("live"));
  source.addEventListener("error", () => become("lost"));
  for (const topic of ["traces", "problems", "requests", "status", "config", "tests", "streams", "llm", "cleared", "reset"]) {
    source.addEventListener(topic, (event) => {
      if (paused && topic !== "status") {
        missed = true;
        return;
      }
      deliver(topic, JSON.parse(event.data));
    });
  }
}

function become(next) {
  // A connection that comes back may have missed more than the agent still remembers.
  const back = state === "lost" && next === "live";
  state = next;
  deliver("state", view());
  if (back) deliver("reset", {});
}

function deliver(topic, data) {
  for (const listener of [...(listeners.get(topic) ?? [])]) listener(data);
}

/** Listens to a topic; the answer stops it. @param {Topic} topic */
export function on(topic, listener) {
  if (!listeners.has(topic)) listeners.set(topic, new Set());
  listeners.get(topic).add(listener);
  return () => listeners.get(topic).delete(listener);
}

export function view() {
  return { state, paused };
}

export function setPaused(next) {
  if (paused === next) return;
  paused = next;
  deliver("state", view());
  if (!paused && missed) {
    missed = false;
    deliver("reset", {});
  }
}
