// Keys do what the buttons, links and fields of a page do: that with data-key="a" is pressed by a.
// Escape leaves a field, so that they do again. An Undo goes when there is nothing left to undo.
"use strict";

const TOO_SOON = 500; // milliseconds: a key this soon was meant for the page before
const REPEATED = ["j", "k"]; // only these do something again while they are held
const FIELDS = "textarea, select, [contenteditable], input:not([type=checkbox], [type=radio])";
const opened = performance.now();

export function onKey(handle) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.repeat && !REPEATED.includes(event.key)) return;
    const field = event.target.closest(FIELDS);
    if (field !== null && event.key === "Escape") field.blur();
    if (field !== null || performance.now() - opened < TOO_SOON) return;
    if (handle(event.key)) event.preventDefault();
  });
}

export function press(key) {
  const has = (element) => element.dataset.key === key && !element.matches(":disabled");
  const found = [...document.querySelectorAll("[data-key]")].find(has);
  if (found === undefined) return false;
  if (found.matches(FIELDS)) found.focus();
  else found.click();
  return true;
}

for (const form of document.querySelectorAll(".undo-now")) {
  setTimeout(() => form.remove(), 1000 * Math.min(Number(form.dataset.seconds), 86_400));
}
