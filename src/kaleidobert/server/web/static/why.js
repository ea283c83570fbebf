// Why this hit: a veil over the photo that opens where the query's words point.
const SVG = "http://www.w3.org/2000/svg";
const REST = 350; // milliseconds that a pointer rests on a photo before it asks
const STRONG = 3; // of all words together, the patches of each that open the veil

export function explainOnDemand(cards, news) {
  for (const card of cards) {
    const button = card.querySelector(".why");
    if (button) attach(card, button, news);
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const card of cards) card.hide?.();
  });
}

function attach(card, button, news) {
  const photo = card.querySelector(".photo");
  let reasons = null; // asked for once
  let timer = 0;
  let pinned = false; // opened by tap or key: stays when the pointer leaves

  async function show() {
    if (button.ariaExpanded === "true") return;
    button.ariaExpanded = "true";
    try {
      reasons ??= load(card.dataset.why);
      const found = await reasons;
      if (button.ariaExpanded === "true" && !photo.querySelector(".reading")) draw(photo, found);
      if (pinned) news.textContent = spoken(found);
    } catch (error) {
      reasons = null;
      if (button.ariaExpanded === "true") photo.append(reading([note(error.message)]));
    }
  }
  card.hide = () => {
    clearTimeout(timer);
    if (button.ariaExpanded !== "true") return;
    pinned = false;
    button.ariaExpanded = "false";
    if (document.activeElement.closest(".reading")) button.focus(); // not lost with the words
    for (const part of photo.querySelectorAll(".reading, .veiled")) part.remove();
  };

  button.addEventListener("click", () => {
    if (pinned) return card.hide();
    pinned = true;
    if (button.ariaExpanded === "true") reasons?.then((found) => (news.textContent = spoken(found)), () => {});
    show();
  });
  photo.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse") timer = setTimeout(show, REST);
  });
  photo.addEventListener("pointerleave", () => {
    clearTimeout(timer);
    if (!pinned) card.hide();
  });
  card.addEventListener("focusout", (event) => {
    if (!card.contains(event.relatedTarget)) card.hide();
  });
}

async function load(address) {
  const response = await fetch(address);
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail);
  return body.why;
}

function draw(photo, words) {
  if (!words.length) return photo.append(reading([note("No single word decided this.")]));
  const buttons = words.map((word) => {
    const button = document.createElement("button");
    const share = document.createElement("small");
    button.type = "button";
    button.ariaPressed = "false";
    share.textContent = `${Math.round(100 * word.weight)} %`;
    button.append(word.word, share);
    button.title = place(word);
    return button;
  });
  const bar = reading(buttons);
  const light = (chosen) => {
    if (!bar.isConnected) return; // hidden in the meantime
    buttons.forEach((button, index) => (button.ariaPressed = String(index === chosen)));
    photo.querySelector(".veiled")?.remove();
    photo.append(veil(photo, chosen < 0 ? together(words) : words[chosen].patches));
  };
  let kept = -1;
  buttons.forEach((button, index) => {
    button.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && light(index));
    button.addEventListener("focus", () => light(index));
    button.addEventListener("click", () => light((kept = kept === index ? -1 : index)));
    button.addEventListener("pointerleave", () => light(kept));
    button.addEventListener("blur", () => light(kept));
  });
  photo.append(bar);
  light(-1);
}

function together(words) {
  const most = Math.max(...words.map((word) => word.weight)) || 1;
  return words.flatMap((word) =>
    word.patches.slice(0, STRONG).map((patch) => ({ ...patch, weight: (patch.weight * word.weight) / most })),
  );
}

function veil(photo, patches) {
  const image = photo.querySelector("img");
  const [width, height] = [image.naturalWidth || 3, image.naturalHeight || 4];
  const name = `veil-${crypto.randomUUID?.() ?? Math.random()}`;
  const at = (patch) => ({
    x: patch.x1 * width,
    y: patch.y1 * height,
    width: (patch.x2 - patch.x1) * width,
    height: (patch.y2 - patch.y1) * height,
  });
  const whole = { width, height };
  const soft = node("filter", { id: `${name}-soft` }, [node("feGaussianBlur", { stdDeviation: width / 40 })]);
  const holes = patches.map((patch) => node("rect", { ...at(patch), fill: "#000", "fill-opacity": patch.weight }));
  const mask = node("mask", { id: name }, [
    node("rect", { ...whole, fill: "#fff" }),
    node("g", { filter: `url(#${name}-soft)` }, holes),
  ]);
  const parts = [soft, mask, node("rect", { ...whole, class: "veil", mask: `url(#${name})` })];
  return node("svg", { class: "veiled", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, parts);
}

function node(name, attributes, children = []) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function reading(parts) {
  const bar = document.createElement("div");
  bar.className = "reading";
  bar.role = "group";
  bar.ariaLabel = "What each word points at";
  bar.append(...parts);
  return bar;
}

function note(text) {
  const made = document.createElement("p");
  made.textContent = text;
  return made;
}

const spoken = (words) =>
  words.map((word) => `${word.word}: ${Math.round(100 * word.weight)} percent, ${place(word)}`).join(". ");

function place(word) {
  const patch = word.patches[0];
  if (!patch) return "nowhere in particular";
  const third = (middle, names) => names[Math.min(2, Math.max(0, Math.floor(3 * middle)))];
  const vertical = third((patch.y1 + patch.y2) / 2, ["at the top", "in the middle", "at the bottom"]);
  const horizontal = third((patch.x1 + patch.x2) / 2, [", on the left", "", ", on the right"]);
  return vertical + horizontal;
}
