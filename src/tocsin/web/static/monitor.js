// @ts-check
/**
 * The event monitor of a page: one poll for all its frames and handlers, shared with the other tabs.
 *
 *   const monitor = new Monitor(['http://node1:8340', 'http://node2:8340'], { cluster: 'atlas' });
 *   monitor.on('service.failed@node2', event => …);       // each event once
 *   monitor.addEventListener('gap', () => …);              // some were missed
 *   monitor.start();
 *
 * Handlers go by `seen`: each event once, also after a failover. Frames go by their own cursor: see Frames.
 *
 * @typedef {import('./follow.js').Brief} Brief
 * @typedef {import('./follow.js').News} News
 * @typedef {import('./follow.js').Reply} Reply
 */
import { Follow, Interests } from './follow.js';
export { Follow, Interests };

const MEMORY = 60, MOST_EVENTS = 10000, QUIET = .15, LONGEST_BURST = 1, FLOOR = .5, BETWEEN_GAPS = 10, RETRY = 1, LONGEST_RETRY = 15;
const FLOOR_HIDDEN = 30, REPEAT = 2, ASLEEP = 10, DOUBT = 60;

/** @param {string | null} cursor @returns {{buffer: string, number: number}} */
function place(cursor) {
  const [, buffer = cursor ?? '', number = '0'] = /^(.*):(\d{1,18})$/.exec(cursor ?? '') ?? [];
  return { buffer, number: Number(number) };
}

/** One frame: what it shows, how fresh it is, when it is to be refreshed. */
class Row {
  busy = false;
  /** The reader edits it: it waits. */ waits = false;
  /** Where the monitor was when the refresh began. */ began = place('');
  must = Infinity; burstBegan = Infinity; burstEnds = Infinity; notBefore = -Infinity; fails = 0; refreshedAt = -Infinity;
  /** @param {Interests} wants @param {{buffer: string, number: number}} place @param {number} every seconds, 0: for events only */
  constructor(wants, place, every) { this.match = wants; this.place = place; this.every = every; }

  due(hidden = false) {
    if (this.busy || this.waits) return Infinity;
    const due = Math.max(this.notBefore, Math.min(this.must, this.burstEnds));
    return hidden ? Math.max(due, this.refreshedAt + FLOOR_HIDDEN) : Math.min(due, this.every ? this.refreshedAt + this.every : Infinity);
  }
  /** @param {Brief} event */
  wants(event) { return event.number > this.place.number && this.match.match(event.type, event.node, event.subject ?? ''); }
  /** @param {number} now */
  stir(now) {
    this.burstBegan = Math.min(this.burstBegan, now);
    this.burstEnds = Math.min(now + QUIET, this.burstBegan + LONGEST_BURST);
  }
  /** @param {{buffer: string, number: number}} here @param {number} now */
  begin(here, now) {
    this.busy = true; this.began = here; this.refreshedAt = now; this.notBefore = now + FLOOR;
    this.must = this.burstBegan = this.burstEnds = Infinity;
  }
  /** @param {number} now */
  retry(now) { this.must = now + Math.min(LONGEST_RETRY, RETRY * 2 ** Math.min(this.fails++, 10)); }
}

/**
 * Which frames to refresh, and when: the twin of core/frames.py. A frame goes by its own cursor: an event of interest with
 * a higher number refreshes it. One that registers late, or whose refresh took long, is compared with the last minute.
 */
export class Frames {
  hidden = false;
  /** @type {Map<any, Row>} */ #rows = new Map();
  /** @type {{event: Brief, at: number}[]} */ #events = [];
  #lastGap = -Infinity;

  /** @param {string} [cursor] where the monitor starts */
  constructor(cursor = '') { this.here = place(cursor); this.since = this.here.number; }

  /** When the next refresh is to begin. */
  get due() { return Math.min(Infinity, ...Array.from(this.#rows.values(), row => row.due(this.hidden))); }

  /** The frames to refresh now; each is busy until refreshed(), failed() or waits(). @param {number} now @returns {any[]} */
  ready(now) {
    const due = [...this.#rows].filter(([, row]) => row.due(this.hidden) <= now);
    for (const [, row] of due) row.begin(this.here, now);
    return due.map(([key]) => key);
  }

  /** A frame was loaded, rendered at `cursor` ('': unknown, so it is refreshed).
   *  @param {any} key @param {Interests} interests @param {string} cursor @param {number} now @param {number} [every] */
  register(key, interests, cursor, now, every = 0) {
    const row = new Row(interests, place(cursor), every);
    row.refreshedAt = now;
    this.#rows.set(key, row);
    if (this.#outdated(row)) { row.must = now; row.refreshedAt = -Infinity; } else this.#compare(row, now);
  }
  /** @param {any} key */
  unregister(key) { this.#rows.delete(key); }

  /** A refresh ended well, rendered at `cursor`. @param {any} key @param {string} cursor @param {number} now */
  refreshed(key, cursor, now) {
    const row = this.#rows.get(key);
    if (!row) return;
    row.busy = false; row.place = cursor ? place(cursor) : row.began;
    if (this.#outdated(row)) { row.retry(now); return; }       // a cache answered, or a node that the monitor has left: not in a loop
    row.fails = 0;
    this.#compare(row, now);
  }

  /** A refresh failed: it is tried again. @param {any} key @param {number} now */
  failed(key, now) {
    const row = this.#rows.get(key);
    if (row) { row.busy = false; row.retry(now); }
  }

  /** The reader edits it: not before again(). @param {any} key */
  waits(key) { const row = this.#rows.get(key); if (row) { row.busy = false; row.waits = true; } }
  /** @param {any} key @param {number} now */
  again(key, now) { const row = this.#rows.get(key); if (row) { row.waits = false; row.must = now; } }
  /** There is contact again: what failed is tried at once. @param {number} now */
  revive(now) { for (const row of this.#rows.values()) if (row.fails) row.must = now; }

  /** What an answer brought. @param {News} news @param {string} cursor the monitor's after it @param {number} now */
  take({ shown, jumped }, cursor, now) {
    const here = place(cursor), moved = here.buffer !== this.here.buffer;
    this.here = here;
    if (jumped || moved) {
      this.since = here.number; this.#events = [];
      const when = moved ? now : this.#afterGap(now);
      for (const row of this.#rows.values()) if (!row.busy && this.#outdated(row)) row.must = Math.min(row.must, when);
      return;
    }
    for (const event of shown) {
      this.#events.push({ event, at: now });
      // A busy frame is compared when its refresh ends: its answer may show the event already.
      for (const row of this.#rows.values()) if (!row.busy && row.wants(event)) row.stir(now);
    }
    const events = this.#events;
    while (events[0]?.at < now - MEMORY || events.length > MOST_EVENTS) this.since = /** @type {any} */ (events.shift()).event.number;
  }

  /** @param {number} now */
  #afterGap(now) {
    if (this.#lastGap <= now) this.#lastGap = Math.max(now, this.#lastGap + BETWEEN_GAPS);   // else one is planned already
    return this.#lastGap;
  }
  /** @param {Row} row @param {number} now */
  #compare(row, now) { if (this.#events.some(({ event }) => row.wants(event))) row.stir(now); }
  /** Whether something may have happened since it was rendered that is not remembered. @param {Row} row */
  #outdated(row) { return this.here.buffer !== '' && (row.place.buffer !== this.here.buffer || row.place.number < this.since); }
}

/** Events: `contact` (detail: node) after every answer, `state`, `gap` (detail), `refused` (detail: problem). */
export class Monitor extends EventTarget {
  /** Wall time in ms of the last answer; 0: none yet. */ contact = 0;
  /** Node that answered last: base URL. */ base = '';
  state = 'starting';
  /** @type {Set<{wants: Interests, handler: (event: Brief) => void}>} */ #handlers = new Set();
  /** @type {Map<any, () => Promise<string | null>>} */ #refresh = new Map();
  /** @type {BroadcastChannel | null} */ #channel = null;
  /** @type {{held: boolean, given: AbortController} | null} */ #asking = null;
  /** @type {any} */ #timer = 0; /** @type {any} */ #beat = 0;
  #running = false; #confirm = false; #doubt = false; #awake = 0; #since = 0; #ticks = 0;
  #tab = Math.random(); #other = { after: '', at: -Infinity };

  /** @param {string[]} nodes base URLs, the own first
   *  @param {{cluster?: string, cursor?: string, seen?: Record<string, string> | null, interval?: number, wait?: number, retain?: number,
   *           hidden?: () => boolean, fetch?: (url: string, init?: RequestInit) => Promise<Response>, now?: () => number}} [options] seconds */
  constructor(nodes, { cluster = '', cursor = '', seen = null, interval = 0, wait = 20, retain = 0,
    hidden = () => globalThis.document?.hidden ?? false, fetch = (input, init) => globalThis.fetch(input, init), now = () => performance.now() / 1000 } = {}) {
    super();
    // Tabs that cannot share a poll must not hold one each: a browser has six connections to a node, and frames need some.
    this.follow = new Follow(nodes, { after: cursor, seen, view: 'brief', interval, wait: globalThis.BroadcastChannel ? wait : 0 });
    this.follow.retain = retain;
    this.hidden = hidden; this.fetch = fetch; this.now = now; this.cluster = cluster;
    this.base = this.follow.node;
    this.frames = new Frames(cursor);
  }

  // -- for pages --------------------------------------------------------------------------------

  /** Calls `handler` with each event of interest, once. @param {string} interests @param {(event: Brief) => void} handler @returns {() => void} ends it */
  on(interests, handler) {
    const entry = { wants: new Interests(interests), handler };
    this.#handlers.add(entry);
    return () => { this.#handlers.delete(entry); };
  }

  start() {
    this.#running = true;
    if (globalThis.BroadcastChannel) {
      this.#channel = new BroadcastChannel(`tocsin/${this.cluster}`);
      this.#channel.onmessage = ({ data }) => this.#overhear(data);
      this.#tell({ hello: true });
    }
    globalThis.document?.addEventListener('visibilitychange', this);
    for (const type of ['online', 'pageshow', 'pagehide']) globalThis.addEventListener?.(type, this);
    this.#awake = Date.now();
    this.#beat = setInterval(() => this.#tick(), 1000);
    this.wake();
    return this;
  }

  stop() {
    this.#running = false;
    this.#tell({ bye: true });
    this.#channel?.close(); this.#channel = null;
    this.#asking?.given.abort(); this.#asking = null;
    clearTimeout(this.#timer); clearInterval(this.#beat);
    globalThis.document?.removeEventListener('visibilitychange', this);
    for (const type of ['online', 'pageshow', 'pagehide']) globalThis.removeEventListener?.(type, this);
  }

  /** @param {any} event */
  handleEvent(event) {
    if (event.type === 'pagehide') { this.#tell({ bye: true }); this.#drop(); }    // kept by the browser, maybe: it must not hold a poll
    else this.wake(event.type === 'online' || !!event.persisted);
  }

  /** Shown, hidden, network back, awake: to be called then. @param {boolean} [broken] a request under way is of no use */
  wake(broken = false) {
    if (!this.#running) return;
    const { follow } = this, now = this.now(), hidden = this.hidden();
    if (broken) this.#drop();
    this.frames.hidden = hidden;
    if (hidden) {
      if (!follow.hidden) { follow.hide(); this.#tell({ bye: true }); }
    } else {
      this.#since = now; this.#confirm = true;
      this.#doubt = this.contact > 0 && Math.abs(Date.now() - this.contact) > DOUBT * 1000;
      follow.show(now);
      this.#look();
    }
    this.#plan();
  }

  /** The request under way is of no use. */
  #drop() {
    if (!this.#asking) return;
    this.#asking.given.abort(); this.#asking = null;
    this.follow.due = this.now();
  }

  // -- for frames -------------------------------------------------------------------------------

  /** @param {any} frame @param {{on: string, cursor: string | null, every?: number, refresh: () => Promise<string | null>}} what
   *  `refresh` resolves to the cursor of the answer, or to null if the frame is being edited, and throws if there is none */
  register(frame, { on, cursor, every = 0, refresh }) {
    let wants = new Interests('');
    try { wants = new Interests(on); } catch (error) { console.warn(error); }     // rather too often than never
    this.#refresh.set(frame, refresh);
    this.frames.register(frame, wants.withNodes(), cursor ?? '', this.now(), every);
    this.#plan();
  }
  /** @param {any} frame */
  unregister(frame) { this.frames.unregister(frame); this.#refresh.delete(frame); }
  /** To be refreshed now (again). @param {any} frame */
  again(frame) { this.frames.again(frame, this.now()); this.#plan(); }

  /** @param {any} frame */
  async #refreshOne(frame) {
    try {
      const cursor = await this.#refresh.get(frame)?.();
      if (cursor) this.frames.refreshed(frame, cursor, this.now()); else this.frames.waits(frame);
    } catch { this.frames.failed(frame, this.now()); }
    this.#plan();
  }

  // -- asking -----------------------------------------------------------------------------------

  #plan() {
    clearTimeout(this.#timer);
    if (!this.#running) return;
    const due = Math.min(this.follow.due ?? Infinity, this.#alive() ? this.frames.due : Infinity);
    if (due < Infinity) this.#timer = setTimeout(() => this.#due(), Math.max(0, (due - this.now()) * 1000));
  }

  /** Whether somebody is there to refresh frames from. */
  #alive() { return this.follow.misses === 0 && this.state !== 'stale'; }

  #due() {
    const now = this.now() + .002;                                        // timers may be early
    if (this.follow.due !== null && this.follow.due <= now) this.#poll();
    if (this.#alive()) for (const frame of this.frames.ready(now)) this.#refreshOne(frame);
    this.#plan();
  }

  async #poll() {
    const { follow } = this, after = follow.cursor;
    const request = follow.ask(this.now(), !this.#confirm);             // first hear that it is there at all
    this.#confirm = false;
    const asking = this.#asking = { held: 'wait' in request.query, given: new AbortController() };
    this.#sayThatIAsk();
    const limit = setTimeout(() => asking.given.abort(), request.timeout * 1000);
    const reply = await this.#send(request, asking.given.signal).catch(() => null);
    clearTimeout(limit);
    if (this.#asking !== asking) return;                                  // given up for another tab's, or stopped
    this.#asking = null;
    const now = this.now();
    const news = reply ? follow.answer(reply, now, Math.random()) : follow.failed(now, Math.random());
    if (reply && follow.misses === 0) {
      this.base = request.node;
      if (!request.body && reply.status < 300) this.#tell({ node: request.node, after, reply });
      if (this.#other.after === follow.cursor && now - this.#other.at < REPEAT * 1.25) follow.putOff(now, Math.random());
    }
    this.#news(news);
  }

  /** @param {import('./follow.js').Request} request @param {AbortSignal} signal @returns {Promise<Reply>} */
  async #send({ node, path, query, body }, signal) {
    const search = String(new URLSearchParams(query));
    const answer = await this.fetch(node + path + (search && `?${search}`), {
      cache: 'no-store', signal, ...body && { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } },
    });
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() };
  }

  /** @param {News} news */
  #news(news) {
    const { follow } = this, now = this.now(), contact = follow.misses === 0;
    if (contact) {
      this.contact = Date.now(); this.#doubt = false;
      this.frames.take(news, follow.cursor, now);
      if (this.state !== 'live') this.frames.revive(now);
    }
    this.#look();
    if (contact) { this.#hand(news); this.#emit('contact', this.base); }
    if (news.refused) this.#emit('refused', news.refused);
    this.#plan();
  }

  /** @param {News} news */
  #hand({ events, gap }) {
    for (const event of events) {
      for (const { wants, handler } of this.#handlers) {
        if (!wants.match(event.type, event.node, event.subject ?? '')) continue;
        try { handler(event); } catch (error) { reportError(error); }    // one handler's fault is its own
      }
    }
    if (gap) this.#emit('gap', gap);
  }

  /** What the page is to say: no contact also if an answer is awaited for too long. */
  #look() {
    const { follow } = this, now = this.now();
    let { state } = follow;
    if (!follow.hidden && state !== 'refused') {
      if (now > Math.max(follow.heard ?? 0, this.#since) + follow.patience) state = 'stale';
      else if (this.#doubt && state === 'live') state = 'trying';
    }
    if (state === this.state) return;
    this.state = state;
    this.#emit('state', state);
  }

  #tick() {
    const wall = Date.now();
    if (wall - this.#awake > ASLEEP * 1000 && !this.hidden()) this.wake(true);            // the machine slept
    this.#awake = wall;
    this.#look();
    if (this.#ticks++ % REPEAT === 0) this.#sayThatIAsk();
  }

  /** @param {string} type @param {any} detail */
  #emit(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }

  // -- several tabs, one poll -------------------------------------------------------------------

  /** @param {object} message */
  #tell(message) { this.#channel?.postMessage(message); }
  #sayThatIAsk() { if (this.#asking) this.#tell({ asks: this.follow.cursor, held: this.#asking.held, tab: this.#tab }); }

  /** @param {any} said */
  #overhear(said) {
    const { follow } = this, now = this.now(), random = Math.random();
    if (said.hello) this.#sayThatIAsk();
    else if (said.bye && !follow.hidden) follow.wake(now + random / 2);
    else if ('asks' in said) {
      this.#other = { after: said.asks, at: now };
      // Both hold an answer to the same question: one of them is enough.
      if (said.asks === follow.cursor && said.held && this.#asking?.held && said.tab < this.#tab && follow.giveUp(now, random)) {
        this.#asking.given.abort();
        this.#asking = null;
      } else if (said.asks === follow.cursor) follow.putOff(now, random);
    } else if (said.reply) {
      const news = follow.overhear(said.node, said.after, said.reply, now, random);
      if (news) { this.base = said.node; this.#news(news); }
    }
    this.#plan();
  }
}
