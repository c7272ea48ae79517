// @ts-check
/**
 * <live-frame id=content src="/frame/content" on="service.* adapter.*@node2" every=10 cursor="k3f9:103">…</live-frame>
 *
 * A part of a page that is refreshed alone, when an event of its interests happened. Its answer carries the header
 * `Tocsin-Cursor` (without it nobody of ours answered) and may be a fragment, or hold the same <live-frame id>,
 * whose attributes are then taken over. While the reader edits in it, it waits and says so.
 */
import { morph, parse } from './morph.js';
export { parse };

/** @typedef {import('./monitor.js').Monitor} Monitor */

const TIMEOUT = 10000;
/** @type {Monitor | null} */ let monitor = null;
/** @type {Set<LiveFrame>} */ const early = new Set();

/** From now on frames register with this monitor; those already there do so now. @param {Monitor} one */
export function use(one) {
  monitor = one;
  for (const frame of early) frame.register();
  early.clear();
}

const TYPING = 'input:not([type=button], [type=submit], [type=reset], [type=checkbox], [type=radio]), textarea, select, [contenteditable]';
const dirty = (/** @type {any} */ field) => field.options
  ? [...field.options].some((o, i, all) => o.selected !== (o.defaultSelected || !field.multiple && !i && !all.some(o => o.defaultSelected)))
  : /^(checkbox|radio)$/.test(field.type) ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;

export class LiveFrame extends HTMLElement {
  static observedAttributes = ['on', 'every'];
  /** @type {AbortController | null} */ #asking = null;
  #etag = ''; #shown = ''; #forced = false; #changed = false;
  /** @type {HTMLElement | null} */ #told = null;

  connectedCallback() {
    if (monitor) this.register(); else early.add(this);
    for (const type of ['focusout', 'input', 'change', 'reset']) this.addEventListener(type, this);
  }
  connectedMoveCallback() { /* moved, not made anew: stays registered */ }
  disconnectedCallback() { early.delete(this); monitor?.unregister(this); }
  /** @param {string} name @param {string | null} before @param {string | null} value */
  attributeChangedCallback(name, before, value) {
    if (before === value || !this.isConnected) return;
    if (this.#asking) this.#changed = true; else this.register();          // else when it has its new cursor
  }

  register() {
    monitor?.register(this, {
      on: this.getAttribute('on') ?? '', cursor: this.getAttribute('cursor'), every: Number(this.getAttribute('every')) || 0,
      refresh: () => this.#refresh(),
    });
  }

  /** What was waited for may be over. */
  handleEvent() { if (this.hasAttribute('data-waiting')) setTimeout(() => this.#editing() || this.#now(false)); }

  /** Loads another source, at once. @param {string} src @returns {Promise<void>} rejects if there is no answer */
  async load(src) {
    monitor?.unregister(this);
    this.#asking?.abort();
    this.setAttribute('src', src);
    this.#forced = true;
    try { await this.#refresh(); } finally { if (this.isConnected) this.register(); }
  }

  /** @param {boolean} forced though the reader edits */
  #now(forced) { this.#forced = forced; monitor?.again(this); }

  #editing() {
    const focus = document.activeElement;
    return this.contains(focus) && focus?.matches(TYPING) || [...this.querySelectorAll('input:not([type=hidden], [type=search]), textarea, select')].some(dirty);
  }

  /** @returns {Promise<string | null>} the cursor of the answer; null: the reader edits */
  async #refresh() {
    if (!this.#forced && this.#editing()) { this.#note(); return null; }
    const asking = this.#asking = new AbortController();
    const limit = setTimeout(() => asking.abort(), TIMEOUT);
    this.setAttribute('aria-busy', 'true');
    try {
      const url = this.#url(), own = url.origin === location.origin;      // elsewhere If-None-Match would cost a preflight
      const known = own && this.#shown === url.href && this.#etag;
      const answer = await fetch(url, { cache: 'no-store', signal: asking.signal, headers: { Accept: 'text/html;profile=frame', ...known && { 'If-None-Match': known } } });
      const cursor = answer.headers.get('Tocsin-Cursor');
      if (!cursor || answer.status !== 200 && answer.status !== 304) throw new Error(`HTTP ${answer.status}`);
      const html = answer.status === 200 ? await answer.text() : null;
      if (asking.signal.aborted) throw new Error('aborted');
      if (!this.#forced && this.#editing()) { this.#note(); return null; }           // began meanwhile
      if (html !== null) this.#show(html);
      this.#etag = answer.headers.get('ETag') ?? ''; this.#shown = url.href; this.#forced = false;
      this.#settled(cursor);
      return cursor;
    } catch (error) {
      if (this.#asking === asking) this.setAttribute('data-stale', '');
      throw error;
    } finally {
      clearTimeout(limit);
      if (this.#asking === asking) { this.#asking = null; this.removeAttribute('aria-busy'); }
    }
  }

  /** @returns {URL} at the node that is alive */
  #url() {
    const base = monitor?.base || document.baseURI, url = new URL(this.getAttribute('src') ?? '', base);
    const known = monitor?.follow.nodes.some(node => new URL(node, document.baseURI).origin === url.origin);
    return known ? new URL(url.pathname + url.search, base) : url;
  }

  /** @param {string} html */
  #show(html) {
    this.#told?.remove();
    const content = parse(html), own = this.id && content.querySelector(`live-frame#${CSS.escape(this.id)}`);
    const frame = own || content.querySelector('live-frame');
    for (const { name, value } of frame ? frame.attributes : []) {
      const wanted = own ? name !== 'id' && name !== 'cursor' : (name === 'on' || name === 'every') && !this.hasAttribute(name);
      if (wanted && this.getAttribute(name) !== value) this.setAttribute(name, value);
    }
    morph(this, frame || content);
  }

  /** @param {string} cursor */
  #settled(cursor) {
    this.#told?.remove();
    this.removeAttribute('data-stale'); this.removeAttribute('data-waiting');
    this.setAttribute('cursor', cursor);
    if (this.#changed) this.register();
    this.#changed = false;
    this.dispatchEvent(new CustomEvent('refreshed', { bubbles: true }));
  }

  /** Says that there is something new. */
  #note() {
    this.setAttribute('data-waiting', '');
    if (this.#told?.isConnected) return;
    const note = this.#told = document.createElement('p'), button = document.createElement('button');
    note.className = 'frame-note';
    button.type = 'button'; button.textContent = 'Refresh now';
    button.addEventListener('click', () => this.#now(true));
    note.append('New information is waiting. ', button);
    this.append(note);
  }
}

customElements.define('live-frame', LiveFrame);
