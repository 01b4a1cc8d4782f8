// The list of reviews: keys go through it, and it says what is new without a reload.
"use strict";
import { onKey, press } from "./keys.js";

const LOOK = 15_000; // milliseconds
const news = document.getElementById("news"); // only in the lists of what waits

async function look() {
  if (document.visibilityState !== "visible") return;
  try {
    const answer = await fetch(`${news.dataset.url}?after=${news.dataset.newest}`);
    const count = (await answer.json()).new;
    news.querySelector("a").textContent = `${count} new review${count === 1 ? "" : "s"} - show`;
    news.hidden = !count;
  } catch {
    // asked again soon
  }
}

function go(key) {
  const rows = [...document.querySelectorAll("#result_list tbody tr")];
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const link = (row) => row?.querySelector("th a");
  if (key === "j") link(rows[at + 1])?.focus();
  else if (key === "k") link(rows[Math.max(at, 1) - 1])?.focus();
  else if (key === "x") rows[at]?.querySelector("input.action-select")?.click();
  else if (key === "Enter" && document.activeElement !== link(rows[at])) return false;
  else if (key === "Enter") link(rows[at]).click();
  else return press(key);
  return true;
}

if (news !== null) setInterval(look, LOOK);
onKey(go);
