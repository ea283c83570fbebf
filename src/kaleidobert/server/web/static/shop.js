// The page works without scripts; these add suggestions, photos by drop and paste, filters that act at once,
// and the reasons over each photo.
import { explainOnDemand } from "./why.js";
import { suggest } from "./suggest.js";

document.documentElement.classList.add("scripted");
const search = document.querySelector("[data-search]");
const photoForm = document.querySelector("[data-photo]");
const refine = document.querySelector("[data-refine]");
const box = search.elements.q;

const setBusy = (busy) => document.body.toggleAttribute("data-busy", busy);
window.addEventListener("pageshow", () => setBusy(false)); // also after "back"
for (const form of [search, photoForm, refine]) form?.addEventListener("submit", () => setBusy(true));

search.addEventListener("submit", (event) => {
  const sample = search.elements.photo || search.elements.like || search.elements.filter;
  if (box.value.trim() || sample) return;
  event.preventDefault();
  setBusy(false);
  box.focus();
});

// A photo: chosen, dropped or pasted, searched for at once together with the words in the box
const input = photoForm.elements.photo;
function sendPhoto() {
  photoForm.elements.q.value = box.value;
  photoForm.requestSubmit();
}
function take(files) {
  const photo = [...files].find((file) => file.type.startsWith("image/"));
  if (!photo) return;
  const transfer = new DataTransfer();
  transfer.items.add(photo);
  input.files = transfer.files;
  sendPhoto();
}
input.addEventListener("change", () => input.files.length && sendPhoto());
document.addEventListener("paste", (event) => event.clipboardData && take(event.clipboardData.files));

let depth = 0; // drags enter and leave every element on the way
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
const drag = (change) => {
  depth = Math.max(0, depth + change);
  document.body.toggleAttribute("data-drag", depth > 0);
};
document.addEventListener("dragenter", (event) => hasFiles(event) && drag(1));
document.addEventListener("dragleave", (event) => hasFiles(event) && drag(-1));
document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
document.addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  drag(-depth);
  take(event.dataTransfer.files);
});

// Filters act at once beside the products, and by their button in the sheet of a phone
if (refine) {
  const sheet = window.matchMedia("(max-width: 60rem)");
  const chosen = sessionStorage.getItem("chosen");
  sessionStorage.removeItem("chosen");
  const same = [...refine.elements].find((field) => field.name === "filter" && field.value === chosen);
  if (!sheet.matches) same?.focus({ preventScroll: true });
  document.addEventListener("change", (event) => {
    const field = event.target;
    if (field.form !== refine || (sheet.matches && !("sort" in field.dataset))) return;
    if (field.name === "filter") sessionStorage.setItem("chosen", field.value);
    refine.requestSubmit();
  });
  refine.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
  });
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    box.focus();
    box.select();
  }
});

for (const photo of document.querySelectorAll(".photo img")) {
  const mark = () => photo.closest(".photo").classList.add("missing");
  if (photo.complete && !photo.naturalWidth) mark();
  photo.addEventListener("error", mark);
}

suggest(search, box, document.getElementById("suggestions"));
explainOnDemand(document.querySelectorAll("[data-card]"), document.getElementById("news"));
