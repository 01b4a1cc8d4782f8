// A review's page: claimed while it is open, and decided by keys.
"use strict";
import { onKey, press } from "./keys.js";

const RENEW = 30_000; // milliseconds; a claim lasts two minutes
const notice = document.getElementById("claim"); // only where the review can be decided
const said = () =>
  new URLSearchParams({
    csrfmiddlewaretoken: notice.querySelector("[name=csrfmiddlewaretoken]").value,
  });

async function claim() {
  if (document.visibilityState !== "visible") return;
  try {
    const answer = await fetch(notice.dataset.claim, { method: "POST", body: said() });
    const { says, may_take: mayTake } = await answer.json();
    notice.querySelector("p").textContent = says;
    notice.querySelector("form").hidden = !mayTake;
    notice.hidden = says === "";
    document.getElementById("decisions").disabled = says !== "";
  } catch {
    // asked again soon; the server decides who may decide
  }
}

if (notice !== null) {
  claim();
  setInterval(claim, RENEW);
  document.addEventListener("visibilitychange", claim);
  window.addEventListener("pagehide", () => navigator.sendBeacon(notice.dataset.release, said()));
}

window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // brought back from the browser's memory
});

let leaving = false; // one decision a page
document.addEventListener("submit", () => {
  leaving = true;
});
onKey((key) => !leaving && press(key));
