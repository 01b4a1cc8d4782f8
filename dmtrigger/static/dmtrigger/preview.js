// Shows each variant of a campaign as somebody would get it, while it is written. The server
// renders it: there is one way to turn a template into a message.
"use strict";
(() => {
  const WAIT = 300; // milliseconds without a key, so that not every letter is a request

  function show(box, preview) {
    box.querySelector(".text").textContent = preview.text || "";
    box.querySelector(".about").textContent = preview.text ? `${preview.sample}, ${preview.size} bytes` : "";
    const problems = box.querySelector(".problems");
    problems.textContent = (preview.problems || []).join("; ");
    problems.hidden = !problems.textContent;
  }

  async function refresh(textarea, box) {
    const page = document.getElementById("preview-of");
    const asked = textarea.value;
    const body = new URLSearchParams({
      template: asked,
      channel: document.getElementById("id_channel").value,
      campaign: page.dataset.campaign,
      csrfmiddlewaretoken: document.querySelector("[name=csrfmiddlewaretoken]").value,
    });
    try {
      const answer = await fetch(page.dataset.url, { method: "POST", body });
      const preview = await answer.json();
      if (textarea.value === asked) show(box, preview); // else a later answer is on its way
    } catch {
      show(box, { problems: ["The preview cannot be shown at the moment."] });
    }
  }

  function watch(textarea) {
    if (textarea.dataset.previewed || textarea.name.includes("__prefix__")) return;
    textarea.dataset.previewed = "yes";
    const box = document.createElement("div");
    box.className = "preview";
    box.innerHTML = '<b>Preview</b> <span class="about"></span><p class="text" dir="auto"></p><p class="problems" role="status" hidden></p>';
    textarea.closest(".form-row").append(box);
    let timer;
    const later = () => {
      clearTimeout(timer);
      timer = setTimeout(refresh, WAIT, textarea, box);
    };
    textarea.addEventListener("input", later);
    document.getElementById("id_channel").addEventListener("change", later);
    refresh(textarea, box);
  }

  function watchAll() {
    if (document.getElementById("id_channel") === null) return; // nothing can be edited here
    document.querySelectorAll('textarea[name$="-template"]').forEach(watch);
  }

  document.addEventListener("DOMContentLoaded", watchAll);
  document.addEventListener("formset:added", watchAll);
})();
