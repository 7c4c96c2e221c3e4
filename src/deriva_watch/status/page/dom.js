// Elements from text: no string ever becomes markup, and every string is made printable.

import { begun, complete, ended, moment, printable, relative } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

/** An element; attributes and children that are null or false are left out. */
export function h(name, about, ...children) {
  return filled(document.createElement(name), about, children);
}

export function svg(name, about, ...children) {
  return filled(document.createElementNS(SVG, name), about, children);
}

function filled(element, about, children) {
  for (const [name, value] of Object.entries(about ?? {})) {
    if (value === true) element.setAttribute(name, "");
    else if (value != null && value !== false) element.setAttribute(name, printable(value));
  }
  for (const child of children.flat(9)) {
    if (child instanceof Node) element.append(child);
    else if (child != null && child !== false) element.append(printable(child));
  }
  return element;
}

/** A name of a file, folder or execution, isolated whatever its direction of writing. */
export function named(text) {
  return h("bdi", { dir: "auto" }, text);
}

/** A sentence with `code` marked; our commands have a button that copies them. */
export function sentence(text) {
  return text.replace(/`\.$/, "`").split("`").map((part, at) => {
    if (at % 2 === 0) return part;
    return part.startsWith("deriva-watch ") ? command(part) : h("code", null, part);
  });
}

export function command(text) {
  const copy = { type: "button", "data-copy": text, "aria-label": `Copy: ${text}` };
  return h("span", { class: "command", "data-key": text },
    h("code", null, text), h("button", copy, "Copy"));
}

/** What, why and what to do, as paragraphs. */
export function said({ what, why, next }) {
  return [
    what && h("p", { class: "what" }, ended(begun(what))),
    why && h("p", null, ended(begun(why))),
    next && h("p", { class: "next" }, h("b", null, "What to do: "), sentence(next)),
  ];
}

export function when(iso, now) {
  const at = new Date(iso);
  const text = `${relative(at, now)} (${moment(at, now)})`;
  return h("time", { datetime: iso, title: complete(at) }, text);
}

/** Make *old* equal to *fresh* with few changes, so that focus, selection, open details and typed
 * text stay as they are. */
export function morph(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const keys = new Set([...fresh.children].map((child) => child.dataset.key));
  for (const child of [...old.children]) if (!keys.has(child.dataset.key)) child.remove();
  const known = new Map([...old.children].map((child) => [child.dataset.key, child]));
  const wanted = [...fresh.childNodes];
  wanted.forEach((child, at) => place(old, child, partner(child, old.childNodes[at], known), at));
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
}

function partner(fresh, here, known) {
  const key = fresh.dataset?.key;
  if (key !== undefined) return known.get(key);
  return here?.nodeName === fresh.nodeName && here.dataset?.key === undefined ? here : undefined;
}

function place(parent, fresh, old, at) {
  const here = parent.childNodes[at] ?? null;
  if (!old) parent.insertBefore(fresh, here);
  else {
    if (old !== here) parent.insertBefore(old, here);
    if (old.nodeType === Node.ELEMENT_NODE) morph(old, fresh);
    else if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
  }
}
