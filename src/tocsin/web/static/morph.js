// @ts-check
/**
 * Makes an element's children look like new HTML while keeping the nodes, and with them the reader's
 * focus, selection, scroll positions, typed text and open <details>.
 *
 * Elements are told apart by `id` (or `data-key` among siblings), the rest by place and tag name.
 * An element with `data-keep` and everything in it is left alone. This is the only file that parses
 * HTML, through the page's only Trusted Types policy.
 */

/** Attributes that belong to the reader once an element is there. @type {Record<string, string[]>} */
const KEEP = { DETAILS: ['open'], DIALOG: ['open'] };

const NO_TEXT = /^(checkbox|radio|file|hidden|submit|reset|button|image)$/;

/** @type {{createHTML(html: string): any}} */
const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy('tocsin', { createHTML: (/** @type {string} */ html) => html })
  ?? { createHTML: html => html };

/** @param {string} html @returns {DocumentFragment} its nodes, in a document of their own: nothing loads, nothing runs */
export function parse(html) {
  const template = document.createElement('template');
  template.innerHTML = policy.createHTML(html);
  return template.content;
}

/** @param {Element} root its children are changed @param {ParentNode & Node} to what they are to look like */
export function morph(root, to) {
  const held = root.contains(document.activeElement) && document.activeElement !== root ? document.activeElement : null;
  const caret = caretOf(held);
  const selection = document.getSelection();
  const marks = selection?.rangeCount && !selection.isCollapsed && root.contains(selection.anchorNode)
    ? [selection.anchorNode, selection.anchorOffset, selection.focusNode, selection.focusOffset] : null;
  new Morph(root, to).run();
  if (held && document.activeElement !== held) refocus(held, caret);    // only where moveBefore() is missing
  if (marks && selection) reselect(selection, marks);
}

/** @param {any} field @returns {[number, number, string] | null} */
function caretOf(field) {
  return typeof field?.selectionStart === 'number' ? [field.selectionStart, field.selectionEnd, field.selectionDirection] : null;
}

/** @param {Element} held @param {[number, number, string] | null} caret */
function refocus(held, caret) {
  const again = /** @type {any} */ (held.isConnected ? held : held.id && document.getElementById(held.id));
  again?.focus?.({ preventScroll: true });
  if (caret && again === held) again.setSelectionRange(...caret);
}

/** A text node whose text was replaced has lost its end of the selection. @param {Selection} selection @param {any[]} marks */
function reselect(selection, [anchor, from, focus, to]) {
  const same = selection.anchorNode === anchor && selection.anchorOffset === from && selection.focusNode === focus && selection.focusOffset === to;
  if (same || !anchor.isConnected || !focus?.isConnected) return;
  const end = (/** @type {any} */ node) => node.nodeType === 1 ? node.childNodes.length : node.nodeValue.length;
  selection.setBaseAndExtent(anchor, Math.min(from, end(anchor)), focus, Math.min(to, end(focus)));
}

const keyOf = (/** @type {any} */ node) => node.nodeType === 1 ? node.id || node.getAttribute('data-key') || '' : '';

class Morph {
  /** @param {Element} root @param {ParentNode & Node} to */
  constructor(root, to) {
    this.root = root; this.to = to;
    /** @type {Map<string, Element>} what is there, by id */
    this.old = new Map(); for (const e of root.querySelectorAll('[id]')) this.old.set(e.id, e);
    /** @type {Map<string, string>} ids still to come, with their tag */
    this.due = new Map(); for (const e of to.querySelectorAll('[id]')) this.due.set(e.id, e.nodeName);
    /** @type {Set<Node>} not to be taken again, though an id be there twice */
    this.placed = new Set();
    /** Where nodes wait whose new place is further on: connected, so that they keep their state. */
    this.shelf = document.createElement('div'); this.shelf.hidden = true;
  }

  run() { this.root.append(this.shelf); this.children(this.root, this.to, this.shelf); this.shelf.remove(); }

  /** @param {Element} from @param {Node} to @param {Node | null} [end] the first node of `from` that is not ours */
  children(from, to, end = null) {
    /** @type {Map<string, Node>} */
    const mates = new Map(); for (const e of from.children) if (keyOf(e)) mates.set(keyOf(e), e);
    const wanted = new Set(Array.from(to.childNodes, keyOf));
    /** @type {Node | null} all up to here is done */
    let last = null;
    const next = () => last ? last.nextSibling : from.firstChild;       // asked anew each time: later nodes may have been called away
    for (const n of [...to.childNodes]) {
      let at = next();
      while (at && at !== end && keyOf(at) && !wanted.has(keyOf(at))) { this.drop(at); at = next(); }
      const key = keyOf(n);
      /** @type {any} */
      let mate = key ? mates.get(key) ?? this.old.get(/** @type {Element} */ (n).id) : at !== end && this.alike(at, n) ? at : null;
      if (mate && (mate.nodeName !== n.nodeName || this.placed.has(mate) || !mate.isConnected)) mate = null;
      if (!mate) from.insertBefore(mate = this.fresh(n), at);
      else if (mate !== at) move(from, mate, at);
      this.placed.add(last = mate);
      this.node(mate, n);
    }
    for (let at; (at = next()) && at !== end;) this.drop(at);
  }

  /** A new node; if something in it has an id, its children come in by children(), which may find old ones for them. @param {any} n */
  fresh(n) { return document.importNode(n, !(n.nodeType === 1 && n.querySelector('[id]'))); }

  /** @param {Node | null} a @param {Node} b */
  alike(a, b) { return !!a && !keyOf(a) && a.nodeType === b.nodeType && a.nodeName === b.nodeName; }

  /** Removes a node, unless it or something in it is due elsewhere. @param {any} n */
  drop(n) {
    const due = (/** @type {Element} */ e) => !!e.id && this.due.get(e.id) === e.nodeName;
    if (n.nodeType === 1 && (due(n) || [...n.querySelectorAll('[id]')].some(due))) move(this.shelf, n, null);
    else n.remove();
  }

  /** @param {any} from @param {any} to */
  node(from, to) {
    if (from.nodeType !== 1) { if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue; return; }
    this.due.delete(to.id);
    if (from.hasAttribute('data-keep') || from.isEqualNode(to)) return;
    this.attributes(from, to);
    if (from.nodeName !== 'TEXTAREA' || from.defaultValue !== to.defaultValue) this.children(from, to);
  }

  /** @param {any} from @param {any} to */
  attributes(from, to) {
    const typed = from.value !== from.defaultValue;                     // the reader's text is not replaced
    const ticked = from.checked !== from.defaultChecked || from.selected !== from.defaultSelected;
    const reader = KEEP[from.nodeName];
    for (const a of to.attributes) {
      if (from.getAttributeNS(a.namespaceURI, a.localName) !== a.value && !reader?.includes(a.name)) from.setAttributeNodeNS(a.cloneNode());
    }
    for (const a of [...from.attributes]) {
      if (!to.hasAttributeNS(a.namespaceURI, a.localName) && !reader?.includes(a.name)) from.removeAttributeNode(a);
    }
    if (from.nodeName === 'INPUT' && !typed && from.value !== from.defaultValue && !NO_TEXT.test(from.type)) from.value = from.defaultValue;
    if (!ticked && from.checked !== from.defaultChecked) from.checked = from.defaultChecked;
    if (!ticked && from.selected !== from.defaultSelected) from.selected = from.defaultSelected;
  }
}

/** moveBefore() keeps focus, scroll and animations of what it moves; where it is missing, morph() repairs. */
const move = (/** @type {any} */ parent, /** @type {any} */ node, /** @type {Node | null} */ before) =>
  parent.moveBefore && node.isConnected && parent.isConnected ? parent.moveBefore(node, before) : parent.insertBefore(node, before);
