// The one script that runs before the first paint: it applies the chosen theme, so that a page
// opened in the dark never flashes white. Without a choice the system decides (see tokens.css).
"use strict";
try {
  const chosen = localStorage.getItem("ddtrace.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage may be closed to this page; the system's theme it is.
}
