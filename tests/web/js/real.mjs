// The browser's monitor on the real feed of a node, on a clock of the test: node real.mjs SCENARIO URL.
// Ends with 0 if all was as it should be. The node's buffer ages by the same clock (POST /test/clock).
import assert from 'node:assert/strict';

import { Follow, Frames, Interests } from '../../../src/tocsin/web/static/monitor.js';

const [scenario, url] = process.argv.slice(2);
const post = (path, body) => fetch(url + path, { method: 'POST', body: JSON.stringify(body) });
let now = 0, seq = 0;

/** Lets time pass, here and at the node. */
async function pass(seconds) {
  if (seconds > 0) { await post('/test/clock', seconds); now += seconds; }
}

/** So many events of a type; their origin is the scenario, so that none is in the way of another. */
async function happen(type, many = 1, more = {}) {
  const numbers = Array.from({ length: many }, () => ++seq);
  await post('/test/events', numbers.map(n => ({ type, subject: `s${n}`, origin: scenario, seq: n, ...more })));
  return numbers;
}

/** A monitor with one frame, usually for everything, that does what is due and writes down what came of it. */
class Reader {
  asks = []; handled = []; gaps = []; refreshes = [];
  constructor(options = {}, frame = '') {
    this.follow = new Follow([url], { wait: 0, ...options });
    this.frames = new Frames(options.after ?? '');
    this.frames.register('all', new Interests(frame), options.after ?? '', now);
  }
  get due() { return Math.min(this.follow.due, this.frames.due); }

  async step() {
    if (this.follow.due <= now) {
      const { path, query, body } = this.follow.ask(now);
      this.asks.push(now);
      const answer = await fetch(`${url}${path}?${new URLSearchParams(query)}`, body
        ? { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } } : {});
      const reply = { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() };
      const news = this.follow.answer(reply, now, .5);
      this.frames.take(news, this.follow.cursor, now);
      this.handled.push(...news.events.filter(e => e.origin === scenario).map(e => Number(e.sequence.slice(14))));
      if (news.gap) this.gaps.push({ at: now, ...news.gap });
    }
    for (const frame of this.frames.ready(now)) {
      this.refreshes.push(now);
      this.frames.refreshed(frame, this.follow.cursor, now);
    }
  }

  /** Does all that is due within so many seconds. */
  async run(seconds) {
    const end = now + seconds;
    while (this.due <= end) { await pass(this.due - now); await this.step(); }
    await pass(end - now);
  }
}

const scenarios = {
  async thousand() {
    const reader = new Reader({ limit: 100 });
    await reader.run(1);
    const before = reader.asks.length;
    const all = await happen('service.failed', 1000, { time: '2026-11-23T12:00:00.000000Z' });
    await reader.run(3);
    assert.deepEqual(reader.handled, all);
    assert.deepEqual(reader.gaps, []);
    const pages = reader.asks.slice(before);
    assert.equal(pages.filter(at => at === pages[0]).length, 10, 'ten pages, one after the other');
    assert.equal(reader.refreshes.filter(at => at >= pages[0]).length, 1, 'and one refresh');
  },

  async day() {
    const reader = new Reader({ on: 'service.*', interval: 150 });
    await reader.run(1);
    for (let second = 0; second < 86400; second += 900) {
      await happen('load.high');
      await reader.run(900);
    }
    const [wanted] = await happen('service.failed');
    await reader.run(150);
    assert.deepEqual(reader.handled, [wanted]);
    assert.deepEqual(reader.gaps, []);
    assert.ok(reader.asks.length < 86400 / 140, `${reader.asks.length} requests`);
  },

  async evicted() {
    const reader = new Reader({}, 'nobodys.business');
    await reader.run(1);
    const from = now;
    for (let second = 0; second < 60; second++) {
      await happen('service.failed', 50);                       // the buffer holds ten
      await reader.run(1);
    }
    assert.ok(reader.gaps.length > 10 && reader.gaps.every(gap => gap.reason === 'evicted'), JSON.stringify(reader.gaps));
    const asks = reader.asks.filter(at => at >= from);
    for (let second = from; second < now; second++) {
      const many = asks.filter(at => at >= second && at < second + 1).length;
      assert.ok(many <= 3, `${many} requests within a second`);
    }
    assert.ok(asks.length <= 90, `${asks.length} requests in a minute`);
    assert.equal(new Set(reader.handled).size, reader.handled.length, 'none twice');
    const refreshes = reader.refreshes.filter(at => at >= from);
    assert.ok(refreshes.length >= 5, 'gaps refresh the frame');
    for (const at of refreshes) assert.equal(refreshes.filter(other => other >= at && other < at + 9.99).length, 1, 'once in 10 s');
    await reader.run(5);
    const gaps = reader.gaps.length, [last] = await happen('service.started');
    await reader.run(5);
    assert.equal(reader.handled.at(-1), last);
    assert.equal(reader.gaps.length, gaps, 'and no gap when the flood is over');
  },

  async asleep() {
    const reader = new Reader();
    await happen('service.started');
    await reader.run(5);
    const refreshes = reader.refreshes.length;
    await pass(7200);                                            // nothing happened meanwhile
    reader.follow.wake(now);
    await reader.run(2);
    assert.deepEqual([reader.gaps, reader.refreshes.length], [[], refreshes]);
    for (let minute = 0; minute < 120; minute++) { await happen('service.failed'); await pass(60); }
    const woken = now;
    reader.follow.wake(now);
    await reader.run(2);
    assert.equal(reader.gaps.length, 1);
    assert.ok(reader.gaps[0].at - woken <= 1, 'told as soon as it is awake');
    assert.ok(reader.refreshes.some(at => at - woken <= 1), 'and the frame is refreshed');
    assert.equal(reader.follow.state, 'live');
    assert.equal(new Set(reader.handled).size, reader.handled.length);
  },

  async future() {
    const start = new Reader();
    await start.run(0);
    const [buffer, number] = start.follow.cursor.split(':');
    for (const [after, reason] of [[`${buffer}:${Number(number) + 1000}`, 'future'], ['zzzz.1:5', 'foreign'], ['?', 'foreign']]) {
      const reader = new Reader({ after });
      await reader.run(0);
      assert.equal(reader.gaps[0]?.reason, reason, after);
      const [next] = await happen('service.failed');
      await reader.run(4);
      assert.deepEqual([reader.handled, reader.gaps.length], [[next], 1]);
    }
  },

  async restarted() {
    const [one, two] = [new Reader(), new Reader({ interval: 5 })];
    for (const reader of [one, two]) await reader.run(0);
    const first = await happen('service.failed', 3);
    await one.run(2.5); await two.run(0);
    await post('/test/drop', 0);                                 // a new life that holds nothing of the old one
    const second = await happen('service.failed', 3);
    for (const reader of [one, two, one, two]) await reader.run(5);
    assert.deepEqual(one.handled, [...first, ...second], 'what came between two polls, and what came before, once');
    assert.deepEqual(one.gaps, []);
    assert.equal(new Set(two.handled).size, two.handled.length);
    assert.ok(two.handled.length === 6 || two.gaps.length === 1, 'exactly, or one gap');
  },
};

await scenarios[scenario]();
