"use strict";
// Theme: the system's until somebody chooses.
const chosen = localStorage.getItem("theme");
if (chosen) document.documentElement.dataset.theme = chosen;

// Only after the document was read, all that looks for elements.
document.addEventListener("DOMContentLoaded", () => {
  document.documentElement.lang = "en";
  document.getElementById("theme").addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem("theme", next);
  });
  const search = document.querySelector("form.search input[name=id]");
  if (search) search.value = new URLSearchParams(location.search).get("id") || "";
});

// What is to be sent stands at the element: its data, and another input's value if it names one.
function send(element) {
  const { send: name, with: other, ...data } = element.dataset;
  if (other) data[other] = document.getElementById(other).value;
  Shiny.setInputValue(name, data, { priority: "event" });
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-send]");
  if (button) send(button);
});

// What-if sliders: each shows its value; those that were moved are sent once one came to rest.
document.addEventListener("input", ({ target }) => {
  if (!target.matches("input[data-feature]")) return;
  target.dataset.moved = "";
  target.closest("label").querySelector("output").value = Number(target.value).toPrecision(4);
});
document.addEventListener("change", ({ target }) => {
  if (!target.matches("input[data-feature]")) return;
  const values = {};
  for (const each of target.closest("form").querySelectorAll("input[data-moved]"))
    values[each.dataset.feature] = Number(each.value);
  Shiny.setInputValue("what_if", values, { priority: "event" });
});

// A lost connection is said, and the page begins anew as soon as the console answers.
document.addEventListener("DOMContentLoaded", () => {
  $(document).on("shiny:disconnected", () => {
    document.getElementById("lost").hidden = false;
    const again = async () => {
      try {
        if ((await fetch("/ready")).ok) location.reload();
      } catch {
        // Not yet.
      }
      setTimeout(again, 1000);
    };
    setTimeout(again, 1000);
  });
});

// What is written anew while somebody is in it: who was on an element is on its successor, what
// was open is open, what was scrolled is where it was.
const key = (each) =>
  each.id || each.getAttribute("href") || each.dataset.step || each.getAttribute("aria-label") ||
  (each.tagName === "SUMMARY" ? each.textContent : "");
const kept = { focus: null, open: new Set(), scroll: new Map() };
const found = (tag, wanted) =>
  [...document.querySelectorAll(`main ${tag}`)].find((each) => key(each) === wanted);
document.addEventListener("focusin", ({ target }) => {
  kept.focus = target.closest("main") && key(target) ? [target.tagName, key(target)] : null;
});
document.addEventListener("toggle", ({ target }) => {
  const summary = target.querySelector("summary");
  if (summary && target.isConnected) kept.open[target.open ? "add" : "delete"](key(summary));
}, true);
document.addEventListener("scroll", ({ target }) => {
  if (target.classList?.contains("scroll")) kept.scroll.set(key(target), target.scrollTop);
}, true);
document.addEventListener("DOMContentLoaded", () => {
  new MutationObserver(() => {
    for (const each of document.querySelectorAll("main details:not([open])"))
      if (kept.open.has(key(each.querySelector("summary")))) each.open = true;
    for (const each of document.querySelectorAll("main .scroll"))
      if (!each.scrollTop && kept.scroll.get(key(each))) each.scrollTop = kept.scroll.get(key(each));
    if (kept.focus && document.activeElement === document.body)
      found(...kept.focus)?.focus({ preventScroll: true });
  }).observe(document.querySelector("main"), { childList: true, subtree: true });
});
