// The search box as a combobox with a list of suggestions (WAI-ARIA pattern "editable combobox with list"). An empty box
// suggests recent searches.
import { forgetSearches, recentSearches } from "./recent.js";

const PAUSE = 90; // milliseconds without typing before suggestions are requested

export function suggest(form, box, list, forget) {
  let timer = 0;
  let requests = 0;
  let chosen = -1;
  let typed = box.value;
  box.setAttribute("role", "combobox");
  box.setAttribute("aria-controls", list.id);
  box.setAttribute("aria-autocomplete", "list");

  function open(queries, recent = false) {
    chosen = -1;
    list.ariaLabel = recent ? "Recent searches" : "Suggestions";
    forget.hidden = !(recent && queries.length);
    list.replaceChildren(...queries.map(option));
    list.hidden = !queries.length;
    box.setAttribute("aria-expanded", String(!list.hidden));
    box.removeAttribute("aria-activedescendant");
  }
  const close = () => open([]);
  const openRecent = () => open(recentSearches(), true);

  function option(query, index) {
    const item = document.createElement("li");
    item.id = `suggestion-${index}`;
    item.role = "option";
    item.ariaSelected = "false";
    item.dataset.query = query;
    const start = query.startsWith(typed.toLowerCase()) ? typed.length : 0;
    const rest = document.createElement("b");
    rest.textContent = query.slice(start);
    item.append(...(typed ? [query.slice(0, start), rest] : [query]));
    item.dir = "auto";
    item.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the box keeps its focus
      search(query);
    });
    return item;
  }

  function search(query) {
    box.value = query;
    close();
    form.requestSubmit();
  }

  function choose(index) {
    const options = [...list.children];
    chosen = (index + options.length + 1) % (options.length + 1); // the index after the last option is the box itself
    if (chosen === options.length) chosen = -1;
    options.forEach((item, position) => (item.ariaSelected = String(position === chosen)));
    box.value = chosen < 0 ? typed : options[chosen].dataset.query;
    if (chosen < 0) box.removeAttribute("aria-activedescendant");
    else box.setAttribute("aria-activedescendant", options[chosen].id);
  }

  async function load() {
    const request = ++requests;
    try {
      const response = await fetch(`api/suggest?${new URLSearchParams({ q: typed })}`);
      const found = response.ok ? (await response.json()).suggestions : [];
      if (request === requests && document.activeElement === box) open(found);
    } catch {
      close(); // the search works without suggestions
    }
  }

  box.addEventListener("input", () => {
    typed = box.value;
    clearTimeout(timer);
    requests++; // ignore a response for what was typed before
    if (typed.trim()) timer = setTimeout(load, PAUSE);
    else openRecent();
  });
  box.addEventListener("click", () => !box.value && openRecent());
  forget.addEventListener("pointerdown", (event) => event.preventDefault()); // the box keeps its focus
  forget.addEventListener("click", () => {
    forgetSearches();
    close();
    box.focus();
  });
  forget.addEventListener("blur", close);
  forget.addEventListener("keydown", (event) => event.key === "Escape" && box.focus()); // which closes the list
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && list.hidden && !box.value) {
      event.preventDefault();
      openRecent();
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    } else if (!list.hidden && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      choose(event.key === "ArrowDown" ? chosen + 1 : chosen < 0 ? list.children.length - 1 : chosen - 1);
    }
  });
  box.addEventListener("blur", (event) => event.relatedTarget !== forget && close());
  form.addEventListener("submit", () => {
    requests++; // ignore a response that is still to come
    clearTimeout(timer);
    close();
  });
}
