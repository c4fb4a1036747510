/**
 * Elements, made without markup: whatever a room, a user or a message is called stays text.
 */

/**
 * Make an element. `props` are its attributes; `on…` are listeners, and what is false or null is left out.
 * Children are elements or texts.
 */
export function el(name, props = {}, ...children) {
  return filled(document.createElement(name), props, children);
}

/** Make an element of SVG. */
export function svg(name, props = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), props, children);
}

/** Put these children in the place of those that an element has. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== false));
  return element;
}

/**
 * Make a container's children those of `items`, each under its key: what stays is updated in its place, so it
 * keeps the focus and is not read out again.
 */
export function keyed(container, items, keyOf, make, update) {
  const known = new Map([...container.children].map((child) => [child.dataset.key, child]));
  let before = null;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = known.get(key);
    if (child) {
      known.delete(key);
    } else {
      child = make(item);
      child.dataset.key = key;
    }
    update(child, item);
    const place = before ? before.nextSibling : container.firstChild;
    if (place !== child) container.insertBefore(child, place);
    before = child;
  }
  for (const child of known.values()) child.remove();
}

/** Set a text where it is another one. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Tell something to those who can't see it, once: for what came of an action, never for figures. */
export function announce(text) {
  const said = document.getElementById("said");
  said.textContent = "";
  requestAnimationFrame(() => {
    said.textContent = text;
  });
}

let ids = 0;
/** A labelled field; `input` is an input, a select or a textarea. */
export function field(label, input, hint = "") {
  input.id ||= `field-${++ids}`;
  const note = hint ? el("span", { class: "hint", id: `${input.id}-hint` }, hint) : null;
  if (note) input.setAttribute("aria-describedby", note.id);
  return el("div", { class: "field" }, el("label", { for: input.id }, label), input, note);
}

function filled(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
