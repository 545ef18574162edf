/** Elements. Whatever comes from a document or a message is text, never markup. */

type Attributes = Record<string, string | boolean | ((event: Event) => void)>;
type Child = Node | string;

/** Makes an element; an attribute that is a function listens to the event of this name. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** The element of the page with this id. */
export function byId<K extends keyof HTMLElementTagNameMap>(id: string, tag: K): HTMLElementTagNameMap[K] {
  const found = document.getElementById(id);
  if (found?.tagName.toLowerCase() !== tag) throw new Error(`no <${tag} id="${id}">`);
  return found as HTMLElementTagNameMap[K];
}

let made = 0;

/** An id that no other element has. */
export function freshId(): string {
  return `id-${++made}`;
}

/** A button that does something. */
export function button(text: string, act: () => void, attributes: Attributes = {}): HTMLButtonElement {
  return el("button", { type: "button", click: act, ...attributes }, text);
}
