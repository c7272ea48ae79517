// @ts-check
/**
 * Following a feed: what to ask next and of whom, what an answer means, what was missed; and interests.
 *
 * The twin of core/follow.py and core/interest.py, held together by tests/follow_cases.json and
 * tests/interest_cases.json. No DOM, no clock, no network: time is handed in, in seconds.
 *
 * @typedef {{number: number, type: string, node: string, subject?: string, severity?: string, origin: string, sequence: string}} Brief
 * @typedef {{node: string, path: string, query: Record<string, string>, body: object | null, timeout: number}} Request
 * @typedef {{status: number, headers: Record<string, string>, body: string}} Reply headers by lower-case name
 * @typedef {{reason: string, lost: Record<string, [string, string]>, node: string}} Gap
 * @typedef {{events: Brief[], shown: Brief[], gap: Gap | null, jumped: boolean, refused: any}} News events: new to this reader;
 *   shown: all that the answer carried (frames go by their own cursor); jumped: frames may lack something, be it a gap or not
 */

const MAX_INTERESTS = 1000, MAX_LENGTH = 2048;
const BLANKS = /[,\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;   // as Python's str.split()

/** @param {string} text @returns {RegExp} only `*` and `?` are special */
function glob(text) {
  const pieces = text.split(/(\*+|\?)/).map(p => p[0] === '*' ? '.*' : p === '?' ? '.' : p.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
  return new RegExp(`^${pieces.join('')}$`, 'su');
}

/** A list of `type@node:subject`. Empty: everything. */
export class Interests {
  /** @param {string} text blank- or comma-separated; throws Error if it cannot be read */
  constructor(text) {
    const words = text.split(BLANKS).filter(Boolean);
    if (words.length > MAX_INTERESTS) throw new Error('too many interests');
    this.words = words;
    this.text = words.join(' ');
    /** @type {string[][]} type, node, subject */
    this.parts = words.map(word => {
      const match = /^([^@:]*)(?:@([^:]*))?(?::(.*))?$/s.exec(word);
      if (!match?.[1]) throw new Error(`'${word.slice(0, 80)}' is not an interest: write type@node:subject`);
      if ([...word].length > MAX_LENGTH) throw new Error('too long an interest');
      return match.slice(1).map(part => (part || '*').replaceAll('%20', ' ').replace(/%2c/gi, ','));
    });
    this.globs = this.parts.map(parts => parts.map(part => part === '*' ? null : glob(part)));
  }

  /** @param {string} type @param {string} node @param {string} subject */
  match(type, node, subject) {
    const values = [type, node, subject];
    return !this.globs.length || this.globs.some(globs => globs.every((g, i) => !g || g.test(values[i])));
  }

  /** What a frame means: an interest in a node's things implies `node.*` of that node. */
  withNodes() {
    const about = this.parts.map(([, node]) => node === '*' ? 'node.*' : `node.*@${node.replaceAll(' ', '%20').replaceAll(',', '%2C')}`);
    return new Interests([...new Set([...this.words, ...about])].join(' '));
  }
}

const INTERVAL = 2, SHORTEST = .2, LONGEST_WAIT = 25, TIMEOUT = 5, HIDDEN = 30, BURST = .07, AFTER_GAP = 1;
const BACKOFF = 1, LONGEST_BACKOFF = 15, LONGEST_RETRY_AFTER = 60, STALE = 3, MOST_NODES = 64;
const PATH = '/api/v1/events';
const REFUSALS = [400, 401, 403, 413, 415];

/** Follows the feed of a cluster through any of its nodes. See core/follow.py. */
export class Follow {
  /** @type {string[]} */ nodes = [];
  /** When to ask next; null while an answer is awaited. @type {number | null} */ due = 0;
  /** When a feed last answered. @type {number | null} */ heard = null;
  misses = 0;
  /** @type {string[]} */ degraded = [];
  hidden = false;
  /** Seconds that the buffer retains; 0: not known yet. */ retain = 0;
  #home = ''; #foreign = false; #asked = -Infinity; #gapAsked = -Infinity;
  /** @type {Request | null} */ #sent = null;
  /** @type {Map<string, number>} not to be asked before */ #ready = new Map();
  /** @type {Map<string, number>} */ #fails = new Map();
  /** @type {Map<string, [number, number]>} interval, wait */ #offers = new Map();
  /** @type {Map<string, any>} */ #refusals = new Map();

  /** @param {Iterable<string>} nodes base URLs, the first is preferred
   *  @param {{after?: string, seen?: Record<string, string> | null, since?: number | null, on?: string, view?: string,
   *           limit?: number, interval?: number, wait?: number}} [options] */
  constructor(nodes, { after = '', seen = null, since = null, on = '', view = '', limit = 0, interval = 0, wait = 20 } = {}) {
    for (const node of nodes) this.#add(node);
    if (!this.nodes.length) throw new Error('a monitor needs a node');
    this.cursor = after;
    this.seen = seen && { ...seen };
    this.node = this.nodes[0];
    this.since = since; this.on = on; this.view = view; this.limit = limit; this.interval = interval;
    this.wait = Math.min(wait, LONGEST_WAIT);
  }

  /** @returns {'starting' | 'live' | 'trying' | 'stale' | 'refused'} */
  get state() {
    if (this.#refused()) return 'refused';
    if (this.misses) return this.misses >= STALE ? 'stale' : 'trying';
    return this.heard === null ? 'starting' : 'live';
  }
  #refused() { return this.#refusals.size === this.nodes.length; }

  // -- asking -----------------------------------------------------------------------------------

  /** The request to send at `due`; one answer() or failed() follows each.
   *  @param {number} now @param {boolean} [hold] false: an answer is wanted at once @returns {Request} */
  ask(now, hold = true) {
    this.due = null; this.#asked = now;
    const moved = this.#foreign || (this.#home && this.#home !== this.node);
    return this.#sent = moved && this.cursor && this.seen ? this.#askResume() : this.#askEvents(hold ? this.#mayWait() : 0);
  }

  /** @returns {Request} */
  #askResume() {
    const { cursor, seen, on, limit, view } = this;
    return { node: this.node, path: PATH + '/resume', query: {}, body: { after: cursor, seen: { ...seen }, ...given({ on, limit, view }) }, timeout: TIMEOUT };
  }

  /** @param {number} wait @returns {Request} */
  #askEvents(wait) {
    const { cursor, on, view, limit } = this;
    const query = given({ after: cursor, since: !cursor && this.since, on, view, limit, seen: this.seen ? '' : 'full', wait });
    for (const key in query) query[key] = String(typeof query[key] === 'number' ? +query[key].toFixed(3) : query[key]);
    return { node: this.node, path: PATH, query, body: null, timeout: wait + TIMEOUT };
  }

  /** Seconds to have the answer held: where this node offered it, and while it answers. */
  #mayWait() {
    if (this.hidden || !this.cursor || this.misses) return 0;
    return this.#bounded(Math.min(this.wait, this.#offer()[1]));
  }
  #offer() { return this.#offers.get(this.node) ?? [INTERVAL, 0]; }

  /** Seconds between short polls, always less than the time that the buffer retains. */
  get every() {
    if (this.hidden) return this.retain ? Math.min(HIDDEN, this.retain / 3) : HIDDEN;
    return this.#bounded(Math.max(this.interval, this.#offer()[0]));
  }
  /** @param {number} seconds */
  #bounded(seconds) { return this.retain ? Math.min(seconds, this.retain / 2) : seconds; }

  /** Seconds without an answer after which there is no contact, whatever is still awaited. */
  get patience() { return this.#mayWait() + TIMEOUT + this.every; }

  // -- what an answer means ---------------------------------------------------------------------

  /** @param {Reply} reply @param {number} now @param {number} random 0 up to 1 @returns {News} */
  answer(reply, now, random) {
    const { status, headers } = reply;
    if ([200, 204, 410].includes(status) && 'tocsin-cursor' in headers) {
      try { return this.#contact(reply, now, random); } catch { return this.failed(now, random); }
    }
    if (status === 421) {
      for (const url of Object.values(document(reply.body).nodes ?? {})) if (/^https?:\/\//.test(url) && this.nodes.length < MOST_NODES) this.#add(url);
      return this.#fail(now, random, LONGEST_BACKOFF);
    }
    if (REFUSALS.includes(status) && (headers['content-type'] ?? '').includes('problem+json')) {
      this.#refusals.set(this.node, { ...document(reply.body), status });
    }
    return this.#fail(now, random, retryAfter(headers['retry-after'] ?? ''));
  }

  /** There was no answer in time, or none of a feed. @param {number} now @param {number} random @returns {News} */
  failed(now, random) { return this.#fail(now, random, 0); }

  /** @param {Reply} reply @param {number} now @param {number} random @returns {News} */
  #contact(reply, now, random) {
    const resuming = !!this.#sent?.body;
    let news = none(), more = false, turnedAway = false;
    if (reply.status === 200) [news, more] = this.#some(events(reply.body));
    else if (reply.status === 410) {
      const gone = gap(reply.body);
      turnedAway = ['foreign', 'restarted'].includes(gone.reason) && !!this.seen && !resuming;
      if (!turnedAway) news = this.#gap(gone);
    } else if (resuming || !this.cursor) this.cursor = reply.headers['tocsin-cursor'];
    this.#hear(reply.headers, now);
    this.#foreign = turnedAway;
    if (!turnedAway) this.#home = this.node;
    if (turnedAway || news.jumped) {
      this.due = this.#gapAsked = Math.max(now, this.#gapAsked + AFTER_GAP);
    } else this.due = more ? now : this.#next(news.shown.length > 0, now, random);
    return news;
  }

  /** @param {any} page @returns {[News, boolean]} */
  #some(page) {
    const seen = { ...this.seen };
    const fresh = page.events.filter((/** @type {Brief} */ event) => advance(seen, event.origin, event.sequence));
    const more = page.more && page.cursor !== this.cursor;
    for (const [origin, sequence] of Object.entries(page.seen)) advance(seen, origin, sequence);
    this.seen = seen; this.cursor = page.cursor; this.degraded = page.degraded;
    this.#remember(page.window);
    return [{ ...none(), events: fresh, shown: page.events }, more];
  }

  /** @param {any} gone @returns {News} */
  #gap(gone) {
    const known = this.seen ?? {}, seen = { ...known };
    for (const [origin, sequence] of Object.entries(gone.seen)) advance(seen, origin, sequence);
    this.seen = seen; this.cursor = gone.cursor;
    this.#remember(gone.window);
    // A node that is behind can lose what this reader had from another: no gap for its handlers.
    const lost = Object.entries(gone.lost).filter(([origin, [, to]]) => to > (known[origin] ?? ''));
    const gap = lost.length || !Object.keys(gone.lost).length ? { reason: gone.reason, lost: Object.fromEntries(lost), node: this.node } : null;
    return { ...none(), gap, jumped: true };
  }

  /** @param {any} window */
  #remember({ retain }) { if (typeof retain === 'number' && retain > 0) this.retain = retain; }

  /** @param {Record<string, string>} headers @param {number} now */
  #hear(headers, now) {
    this.heard = now; this.misses = 0;
    this.#fails.clear(); this.#refusals.clear();
    const found = (headers['tocsin-poll'] ?? '').matchAll(/(interval|wait)=(\d{1,6}(?:\.\d{1,3})?)(?:,|$)/g);
    const offer = Object.fromEntries(Array.from(found, ([, name, value]) => [name, Number(value)]));
    this.#offers.set(this.node, [Math.max(offer.interval ?? INTERVAL, SHORTEST), offer.wait ?? 0]);
  }

  // -- when to come back, and to whom -----------------------------------------------------------

  /** @param {boolean} news @param {number} now @param {number} random */
  #next(news, now, random) {
    if (!this.#mayWait()) return now + this.every * (.9 + .2 * random);
    // A held poll that came back early without news must not become a busy loop.
    return this.#sent && 'wait' in this.#sent.query ? Math.max(now, this.#asked + (news ? BURST : this.every)) : now;
  }

  /** Another node at once; one that failed not before its own back-off is over.
   *  @param {number} now @param {number} random @param {number} atLeast @returns {News} */
  #fail(now, random, atLeast) {
    this.misses++;
    const fails = (this.#fails.get(this.node) ?? 0) + 1;
    this.#fails.set(this.node, fails);
    const pause = Math.min(LONGEST_BACKOFF, BACKOFF * 2 ** Math.min(fails - 1, 10)) * (.5 + .5 * random);
    this.#ready.set(this.node, now + Math.max(pause, atLeast));
    this.#offers.delete(this.node);
    const here = this.nodes.indexOf(this.node) + 1;
    const ready = (/** @type {string} */ node) => Math.max(now, this.#ready.get(node) ?? now);
    this.node = [...this.nodes.slice(here), ...this.nodes.slice(0, here)].reduce((best, node) => ready(node) < ready(best) ? node : best);
    this.due = ready(this.node);
    return this.#refused() ? { ...none(), refused: [...this.#refusals.values()][0] } : none();
  }

  /** @param {string} url */
  #add(url) {
    url = url.replace(/\/+$/, '');
    if (!this.nodes.includes(url)) this.nodes.push(url);
  }

  /** Nobody looks: poll rarely. */
  hide() { this.hidden = true; }
  /** Somebody looks again: ask at once. @param {number} now */
  show(now) { this.hidden = false; this.wake(now); }
  /** The network may be back: ask at once, though not twice a second. @param {number} now */
  wake(now) {
    this.#ready.clear();
    if (this.due !== null) this.due = Math.min(this.due, Math.max(now, this.#asked + AFTER_GAP));
  }

  // -- several tabs, one poll (only in a browser) -----------------------------------------------

  /** Another tab was answered: counts if it asked with my cursor, of this buffer, and I do not ask myself.
   *  @param {string} node @param {string} after @param {Reply} reply @param {number} now @param {number} random @returns {News | null} */
  overhear(node, after, reply, now, random) {
    const buffer = (/** @type {string} */ cursor) => cursor.split(':')[0];
    const mine = this.due !== null && after === this.cursor && buffer(reply.headers['tocsin-cursor'] ?? '') === buffer(after);
    if (!mine || !this.nodes.includes(node)) return null;
    this.node = node; this.#sent = null;
    const news = this.answer(reply, now, random);
    this.putOff(now, random);
    return news;
  }

  /** My own request is not wanted any more: whether I may leave it to another tab. @param {number} now @param {number} random */
  giveUp(now, random) {
    if (this.due !== null) return false;
    this.due = now;
    this.putOff(now, random);
    if (this.due > now) return true;
    this.due = null;
    return false;
  }

  /** Another tab asks with my cursor: my turn comes later, but not so late that I would not know.
   *  @param {number} now @param {number} random */
  putOff(now, random) {
    if (this.due === null || this.heard === null || this.misses || now > this.heard + this.patience) return;
    this.due = Math.max(this.due, now + Math.max(this.every, INTERVAL) * (1.5 + random / 2));
  }
}

/** What has a value. @param {Record<string, any>} values @returns {Record<string, any>} */
const given = values => Object.fromEntries(Object.entries(values).filter(([, value]) => value));

/** @returns {News} */
const none = () => ({ events: [], shown: [], gap: null, jumped: false, refused: null });

/** Moves `seen` on, never back; whether it moved. @param {Record<string, string>} seen @param {string} origin @param {string} sequence */
function advance(seen, origin, sequence) {
  const moved = sequence > (Object.hasOwn(seen, origin) ? seen[origin] : '');
  if (moved) seen[origin] = sequence;
  return moved;
}

/** Seconds. A date is not counted: nobody's clock is known to be right. @param {string} text */
const retryAfter = text => /^[0-9]{1,9}$/.test(text) ? Math.min(Number(text), LONGEST_RETRY_AFTER) : 0;

/** @param {string} text @returns {any} a JSON object, empty if it is none */
function document(text) {
  try {
    const value = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch { return {}; }
}

const isObject = (/** @type {any} */ value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (/** @type {any} */ value) => typeof value === 'string';
/** @param {boolean} condition */
function must(condition) { if (!condition) throw new TypeError(); }

/** @param {string} text @returns {any} the document of a 200; throws if it is none */
function events(text) {
  const page = { seen: {}, more: false, degraded: [], window: {}, ...JSON.parse(text) };
  must(isText(page.cursor) && Array.isArray(page.events) && isObject(page.seen) && isObject(page.window) && Array.isArray(page.degraded));
  must(page.events.every((/** @type {any} */ event) => isText(event.origin) && isText(event.sequence)) && Object.values(page.seen).every(isText));
  return page;
}

/** @param {string} text @returns {any} the document of a 410; throws if it is none */
function gap(text) {
  const gone = { lost: {}, window: {}, ...JSON.parse(text) };
  must(isText(gone.reason) && isText(gone.cursor) && isObject(gone.seen) && isObject(gone.lost) && isObject(gone.window));
  must(Object.values(gone.seen).every(isText));
  return gone;
}
