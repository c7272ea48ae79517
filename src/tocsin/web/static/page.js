// @ts-check
/**
 * A page of Tocsin: starts the monitor, says how fresh the page is, follows links within it, counts ages.
 *
 * What it expects in the page (web/templates):
 *   <body data-cluster data-node data-nodes='{"node1": "http://…"}' data-cursor data-seen='{"node1": "…"}'
 *         data-interval data-wait data-retain>          cursor and seen read before anything was rendered; seconds
 *   <live-frame id=banner src="/frame/banner" on cursor data-title data-state=ok|warning|failed|unknown>
 *   <live-frame id=tree src="/frame/tree?at=%2Fservices" on cursor>
 *   <live-frame id=content src="/frame/content?at=%2Fservices" on cursor [every] data-title>
 *   <* id=live data-keep>, <* id=announce role=status data-keep>, <dialog id=help>, <link id=icon href="/static/icon-ok.svg">
 *   <time data-age=SECONDS>, <* data-row> (for j k o), <input type=search> (for /), <a data-plain> (left to the browser)
 * What it sets: <body data-monitor=starting|live|trying|stale|refused>, text of #live and #announce, title, icon, <base href>.
 * A page's URL P (path and query) and its frames go together by one rule: src=/frame/content?at=<P>, the tree likewise.
 */
import { Monitor } from './monitor.js';
import { use } from './live-frame.js';

const { body } = document, data = body.dataset;
const SAID_EVERY = 10000;
const NOT_PAGES = /^\/(api|static|frame|metrics|livez|readyz|openapi\.json)(\/|$)/;

/** @param {string} id @returns {any} */
const byId = id => document.getElementById(id);
/** @param {string | undefined} text @returns {any} */
const json = text => { try { return JSON.parse(text || ''); } catch { return null; } };

// -- the monitor ----------------------------------------------------------------------------------

/** @type {Record<string, string>} */
const urls = json(data.nodes) ?? {};
/** The node that served the page comes first, by the name that the browser knows it by. */
const nodes = [location.origin, ...Object.entries(urls).filter(([name]) => name !== data.node).map(([, url]) => url)];
const nameOf = (/** @type {string} */ url) => url === location.origin ? data.node : Object.entries(urls).find(([, u]) => u.replace(/\/+$/, '') === url)?.[0] ?? url;

export const monitor = new Monitor(nodes, {
  cluster: data.cluster, cursor: data.cursor, seen: json(data.seen),
  interval: Number(data.interval) || 0, wait: Number(data.wait ?? 20), retain: Number(data.retain) || 0,
});

// -- how fresh it is ------------------------------------------------------------------------------

const clock = (/** @type {number} */ ms) => new Date(ms).toTimeString().slice(0, 8);
const opened = Date.now();

function sayHowFresh() {
  const { state, contact } = monitor, since = clock(contact || opened);
  data.monitor = state;
  const text = {
    starting: `Asking ${nameOf(monitor.base)} …`,
    live: `Live via ${nameOf(monitor.base)} · ${since}`,
    trying: `Checking · last answer ${since}`,
    stale: `Stale since ${since} · no node answers`,
    refused: `Stale since ${since} · the nodes refuse to answer`,
  }[state];
  const line = byId('live');
  if (line && text && line.textContent !== text) line.textContent = text;
  sayTitle();
}

function sayTitle() {
  const banner = byId('banner')?.dataset ?? {}, content = byId('content')?.dataset.title;
  const stale = monitor.state === 'stale' || monitor.state === 'refused';
  const title = [stale ? `(stale) ${data.cluster ?? ''}` : banner.title, content].filter(Boolean).join(' · ');
  if (title && document.title !== title) document.title = title;
  const icon = byId('icon'), href = `/static/icon-${stale ? 'stale' : banner.state ?? 'unknown'}.svg`;
  if (icon && banner.state && icon.getAttribute('href') !== href) icon.setAttribute('href', href);
}

/** Polite, and seldom: the last word counts. */
let lastSaid = -SAID_EVERY, toSay = '', /** @type {any} */ saying = 0;
/** @param {string | undefined} text */
function announce(text) {
  if (!text || text === toSay) return;
  toSay = text;
  saying ||= setTimeout(() => {
    saying = 0; lastSaid = performance.now();
    const line = byId('announce');
    if (line) line.textContent = toSay;
  }, Math.max(0, lastSaid + SAID_EVERY - performance.now()));
}

/** Links and frames follow the node that is alive. */
function followNode() {
  let base = document.querySelector('base');
  if (!base && monitor.base === location.origin) return;
  if (!base) document.head.prepend(base = document.createElement('base'));
  const href = `${monitor.base}/`;
  if (base.href !== href) base.href = href;
}

monitor.addEventListener('contact', () => { followNode(); sayHowFresh(); });
monitor.addEventListener('state', () => {
  sayHowFresh();
  if (monitor.state === 'stale' || monitor.state === 'refused') announce(byId('live')?.textContent);
  else if (toSay && monitor.state === 'live') announce(document.title);
});
addEventListener('refreshed', event => {
  const frame = /** @type {HTMLElement} */ (event.target);
  bear(frame);
  sayTitle();
  if (frame.id === 'banner') announce(frame.dataset.title);
});

// -- ages, counted here from the server's age: no clocks are compared -------------------------------

/** @type {WeakMap<Element, {age: string, born: number}>} */
const born = new WeakMap();

/** @param {ParentNode} root */
function bear(root) {
  for (const time of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll('time[data-age]'))) {
    const age = time.dataset.age ?? '';
    if (born.get(time)?.age !== age) born.set(time, { age, born: performance.now() - Number(age) * 1000 });
  }
}

/** @param {number} seconds */
function ageText(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  return s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
}

function count() {
  if (document.hidden) return;
  for (const time of document.querySelectorAll('time[data-age]')) {
    const at = born.get(time);
    const text = at && ageText((performance.now() - at.born) / 1000);
    if (text && time.textContent !== text) time.textContent = text;
  }
}

// -- following links within the page ----------------------------------------------------------------

const here = () => location.pathname + location.search;
let shown = here();

/** @param {URL} url whether it is a page of this node */
const isPage = url => url.origin === location.origin && !NOT_PAGES.test(url.pathname);

/** Shows another page in the frames; where that fails the browser loads it. @param {URL} url @param {number} [y] scroll there */
async function show(url, y) {
  const at = encodeURIComponent(url.pathname + url.search), page = url.pathname + url.search;
  shown = page;
  try {
    await Promise.all(['content', 'tree'].map(id => byId(id)?.load(`/frame/${id}?at=${at}`)));
  } catch {
    if (shown === page) location.assign(url);
    return;
  }
  if (shown !== page) return;                                            // the reader went on meanwhile
  const content = byId('content');
  sayTitle();
  announce(content.dataset.title);
  const target = url.hash && byId(decodeURIComponent(url.hash.slice(1)));
  if (document.activeElement === body) { content.tabIndex = -1; content.focus({ preventScroll: true }); }
  if (target) target.scrollIntoView(); else scrollTo(0, y ?? 0);
}

/** @param {URL} url @returns {boolean} whether it is done here */
function go(url) {
  const ours = byId('content')?.load && isPage(url) && document.baseURI.startsWith(location.origin);
  if (!ours || (url.pathname + url.search === here() && url.hash)) return false;   // elsewhere, or a place in this page
  history.replaceState({ y: scrollY }, '');
  if (url.href !== location.href) history.pushState({ y: 0 }, '', url);
  show(url);
  return true;
}

addEventListener('click', event => {
  const link = /** @type {any} */ (event.target)?.closest?.('a[href]');
  const plain = event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.defaultPrevented;
  if (!link || plain || link.hasAttribute('data-plain') || link.hasAttribute('download') || (link.target && link.target !== '_self')) return;
  if (go(new URL(link.href, document.baseURI))) event.preventDefault();
});

addEventListener('submit', event => {
  const form = /** @type {HTMLFormElement} */ (event.target), by = event.submitter;
  if (event.defaultPrevented || form.method !== 'get' || form.hasAttribute('data-plain') || !form.closest('live-frame')) return;
  const url = new URL(form.getAttribute('action') || here(), document.baseURI);
  url.search = String(new URLSearchParams(/** @type {any} */ ([...new FormData(form, by)].filter(([, value]) => typeof value === 'string' && value))));
  if (!go(url)) return;
  event.preventDefault();
  /** @type {any} */ (document.activeElement)?.blur();                     // done typing: the frame need not wait any more
});

history.scrollRestoration = 'manual';
addEventListener('popstate', event => {
  if (here() !== shown) show(new URL(location.href), event.state?.y);
});

// -- keyboard: / find, j k rows, o open, ? help ------------------------------------------------------

/** @type {Record<string, () => void>} */
const keys = {
  '/': () => (document.querySelector('#content input[type=search]') ?? /** @type {any} */ (document.querySelector('input[type=search]')))?.focus(),
  'j': () => step(1),
  'k': () => step(-1),
  'o': () => /** @type {any} */ (document.activeElement)?.closest('[data-row]')?.querySelector('a, summary, button')?.click(),
  '?': () => { const help = byId('help'); if (help?.open) help.close(); else help?.showModal?.(); },
};

/** To the next row. @param {number} by */
function step(by) {
  const rows = [...document.querySelectorAll('[data-row]')].filter(row => row.checkVisibility?.() ?? true);
  const now = rows.findIndex(row => row.contains(document.activeElement));
  const row = rows[now < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, now + by))];
  /** @type {any} */ (row?.querySelector('a, summary, button') ?? row)?.focus();
}

addEventListener('keydown', event => {
  const at = /** @type {HTMLElement} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || at.matches?.('input, textarea, select, [contenteditable]')) return;
  const action = Object.hasOwn(keys, event.key) && keys[event.key];
  if (action) { action(); event.preventDefault(); }
});

// -- start ------------------------------------------------------------------------------------------

bear(document);
setInterval(count, 1000);
use(monitor);
sayHowFresh();
monitor.start();
