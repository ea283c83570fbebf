// What is kept in this browser alone: the searches made last and, over a reload, the filter that was used last.
const NAME = "recentSearches";
const MAX_KEPT = 8;

export function recentSearches() {
  try {
    const kept = JSON.parse(localStorage.getItem(NAME) ?? "[]");
    return Array.isArray(kept) ? kept.filter((each) => typeof each === "string").slice(0, MAX_KEPT) : [];
  } catch {
    return []; // storage is blocked, or holds something else
  }
}

export function rememberSearch(text) {
  const query = text.trim();
  if (query) store([query, ...recentSearches().filter((each) => each.toLowerCase() !== query.toLowerCase())]);
}

export const forgetSearches = () => store([]);

function store(queries) {
  try {
    localStorage.setItem(NAME, JSON.stringify(queries.slice(0, MAX_KEPT)));
  } catch {
    // storage is blocked or full: the search works without it
  }
}

export function keepLastFilter(value) {
  try {
    sessionStorage.setItem("lastFilter", value);
  } catch {
    // storage is blocked: the focus is lost
  }
}

export function takeLastFilter() {
  try {
    const value = sessionStorage.getItem("lastFilter");
    sessionStorage.removeItem("lastFilter");
    return value;
  } catch {
    return null;
  }
}
