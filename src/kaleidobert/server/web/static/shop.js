// The pages work without scripts. Scripts add suggestions, photos by drag and drop or paste, filters that are applied
// at once, and explanations over each photo.
import { explainOnDemand } from "./why.js";
import { keepLastFilter, rememberSearch, takeLastFilter } from "./recent.js";
import { suggest } from "./suggest.js";

document.documentElement.classList.add("js");
const search = document.querySelector("[data-search]");
const photoForm = document.querySelector("[data-photo]");
const refine = document.querySelector("[data-refine]");
const box = search.elements.q;

const setBusy = (busy) => document.body.toggleAttribute("data-busy", busy);
window.addEventListener("pageshow", () => setBusy(false)); // also after "back"
for (const form of [search, photoForm, refine]) form?.addEventListener("submit", () => setBusy(true));

search.addEventListener("submit", (event) => {
  const otherInput = search.elements.photo || search.elements.like || search.elements.filter;
  if (box.value.trim() || otherInput) return;
  event.preventDefault();
  setBusy(false);
  box.focus();
});

// A photo that is chosen, dropped or pasted is searched for at once, together with the text in the search box
const input = photoForm.elements.photo;
function sendPhoto() {
  photoForm.elements.q.value = box.value;
  photoForm.requestSubmit();
}
function useFirstPhoto(files) {
  const photo = [...files].find((file) => file.type.startsWith("image/"));
  if (!photo) return;
  const transfer = new DataTransfer();
  transfer.items.add(photo);
  input.files = transfer.files;
  sendPhoto();
}
input.addEventListener("change", () => input.files.length && sendPhoto());
document.addEventListener("paste", (event) => event.clipboardData && useFirstPhoto(event.clipboardData.files));

let depth = 0; // dragenter and dragleave fire for every element on the way
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
  useFirstPhoto(event.dataTransfer.files);
});

// Filters beside the products are applied at once; on a phone they are in a sheet with a button
if (refine) {
  const sheet = window.matchMedia("(max-width: 60rem)");
  const lastFilter = takeLastFilter(); // keeps the keyboard focus over the reload
  const same = [...refine.elements].find((field) => field.name === "filter" && field.value === lastFilter);
  if (!sheet.matches) same?.focus({ preventScroll: true });
  document.addEventListener("change", (event) => {
    const field = event.target;
    if (field.form !== refine || (sheet.matches && !("sort" in field.dataset))) return;
    if (field.name === "filter") keepLastFilter(field.value);
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

search.addEventListener("submit", () => rememberSearch(box.value));
suggest(search, box, document.getElementById("suggestions"), document.querySelector(".forget"));
explainOnDemand(document.querySelectorAll("[data-card]"), document.getElementById("announcements"));
