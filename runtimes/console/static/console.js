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

// What-if sliders: each shows its value, all are sent together once one came to rest.
document.addEventListener("input", (event) => {
  const slider = event.target.closest("input[data-feature]");
  if (!slider) return;
  slider.closest("label").querySelector("output").value = Number(slider.value).toPrecision(4);
});
document.addEventListener("change", (event) => {
  const choice = event.target.closest("select[data-send]");
  if (choice) Shiny.setInputValue(choice.dataset.send, choice.value, { priority: "event" });
  const slider = event.target.closest("input[data-feature]");
  if (!slider) return;
  const values = {};
  for (const each of slider.closest("form").querySelectorAll("input[data-feature]"))
    if (each.value !== each.dataset.begins) values[each.dataset.feature] = Number(each.value);
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
