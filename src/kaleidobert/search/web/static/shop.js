// The page works without this file; it adds a busy state, a shortcut and quiet handling of missing photos.
"use strict";

const form = document.querySelector("[data-search]");
const box = form.querySelector("input[name=q]");
const button = form.querySelector("button");

function setBusy(busy) {
  button.textContent = busy ? "Searching…" : "Search";
  document.body.toggleAttribute("data-busy", busy);
}

form.addEventListener("submit", () => setBusy(true));
window.addEventListener("pageshow", () => setBusy(false)); // also after "back"

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    box.focus();
    box.select();
  }
});

for (const photo of document.querySelectorAll(".photo img")) {
  const mark = () => photo.parentElement.classList.add("missing");
  if (photo.complete && !photo.naturalWidth) mark();
  photo.addEventListener("error", mark);
}
