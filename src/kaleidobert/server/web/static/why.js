// Explains hits: darkens the photo except for the patches that the query's words match.
const SVG = "http://www.w3.org/2000/svg";
const HOVER_DELAY = 350; // milliseconds before a pointer on a photo shows its explanation
const TOP_PATCHES = 3; // patches of each word that are shown for all words together

export function explainOnDemand(cards, announcements) {
  for (const card of cards) {
    const button = card.querySelector(".why");
    if (button) attach(card, button, announcements);
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const card of cards) card.hide?.();
  });
}

function attach(card, button, announcements) {
  const photo = card.querySelector(".photo");
  let evidence = null; // loaded once
  let timer = 0;
  let pinned = false; // opened by tap or key: stays open when the pointer leaves

  async function show() {
    if (button.ariaExpanded === "true") return;
    button.ariaExpanded = "true";
    try {
      evidence ??= load(card.dataset.why);
      const found = await evidence;
      if (button.ariaExpanded === "true" && !photo.querySelector(".explanation")) draw(photo, found);
      if (pinned) announcements.textContent = spoken(found);
    } catch (error) {
      evidence = null;
      if (button.ariaExpanded === "true") photo.append(explanationBar([note(error.message)]));
    }
  }
  card.hide = () => {
    clearTimeout(timer);
    if (button.ariaExpanded !== "true") return;
    pinned = false;
    button.ariaExpanded = "false";
    if (document.activeElement.closest(".explanation")) button.focus(); // keep the focus on the card
    for (const part of photo.querySelectorAll(".explanation, .overlay")) part.remove();
  };

  button.addEventListener("click", () => {
    if (pinned) return card.hide();
    pinned = true;
    if (button.ariaExpanded === "true") evidence?.then((found) => (announcements.textContent = spoken(found)), () => {});
    show();
  });
  photo.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse") timer = setTimeout(show, HOVER_DELAY);
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
  if (!words.length) return photo.append(explanationBar([note("No single word explains this match.")]));
  const buttons = words.map((word) => {
    const button = document.createElement("button");
    const share = document.createElement("small");
    button.type = "button";
    button.ariaPressed = "false";
    share.textContent = `${Math.round(100 * word.weight)} %`;
    button.append(word.word, share);
    button.title = position(word);
    return button;
  });
  const bar = explanationBar(buttons);
  const highlight = (chosen) => {
    if (!bar.isConnected) return; // hidden in the meantime
    buttons.forEach((button, index) => (button.ariaPressed = String(index === chosen)));
    photo.querySelector(".overlay")?.remove();
    photo.append(overlay(photo, chosen < 0 ? combined(words) : words[chosen].patches));
  };
  let kept = -1;
  buttons.forEach((button, index) => {
    button.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && highlight(index));
    button.addEventListener("focus", () => highlight(index));
    button.addEventListener("click", () => highlight((kept = kept === index ? -1 : index)));
    button.addEventListener("pointerleave", () => highlight(kept));
    button.addEventListener("blur", () => highlight(kept));
  });
  photo.append(bar);
  highlight(-1);
}

function combined(words) {
  const maximum = Math.max(...words.map((word) => word.weight)) || 1;
  return words.flatMap((word) =>
    word.patches.slice(0, TOP_PATCHES).map((patch) => ({ ...patch, weight: (patch.weight * word.weight) / maximum })),
  );
}

function overlay(photo, patches) {
  const image = photo.querySelector("img");
  const [width, height] = [image.naturalWidth || 3, image.naturalHeight || 4];
  const name = `overlay-${crypto.randomUUID?.() ?? Math.random()}`;
  const rectangle = (patch) => ({
    x: patch.x1 * width,
    y: patch.y1 * height,
    width: (patch.x2 - patch.x1) * width,
    height: (patch.y2 - patch.y1) * height,
  });
  const whole = { width, height };
  const soft = node("filter", { id: `${name}-soft` }, [node("feGaussianBlur", { stdDeviation: width / 40 })]);
  const holes = patches.map((patch) => node("rect", { ...rectangle(patch), fill: "#000", "fill-opacity": patch.weight }));
  const mask = node("mask", { id: name }, [
    node("rect", { ...whole, fill: "#fff" }),
    node("g", { filter: `url(#${name}-soft)` }, holes),
  ]);
  const parts = [soft, mask, node("rect", { ...whole, class: "shade", mask: `url(#${name})` })];
  return node("svg", { class: "overlay", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, parts);
}

function node(name, attributes, children = []) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function explanationBar(parts) {
  const bar = document.createElement("div");
  bar.className = "explanation";
  bar.role = "group";
  bar.ariaLabel = "What each word matches";
  bar.append(...parts);
  return bar;
}

function note(text) {
  const element = document.createElement("p");
  element.textContent = text;
  return element;
}

const spoken = (words) =>
  words.map((word) => `${word.word}: ${Math.round(100 * word.weight)} percent, ${position(word)}`).join(". ");

function position(word) {
  const patch = word.patches[0];
  if (!patch) return "nowhere in particular";
  const third = (centre, names) => names[Math.min(2, Math.max(0, Math.floor(3 * centre)))];
  const vertical = third((patch.y1 + patch.y2) / 2, ["at the top", "in the middle", "at the bottom"]);
  const horizontal = third((patch.x1 + patch.x2) / 2, [", on the left", "", ", on the right"]);
  return vertical + horizontal;
}
