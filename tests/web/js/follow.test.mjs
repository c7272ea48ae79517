// follow.js and monitor.js against the tables that the Python monitor passes too.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { Follow, Frames, Interests, Monitor } from '../../../src/tocsin/web/static/monitor.js';

const table = name => JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8'));
const OUTPUTS = ['asks', 'handles', 'gap', 'refreshes', 'refused'];
const TOLERANCE = 0.001;
const HEADERS = { cursor: 'tocsin-cursor', poll: 'tocsin-poll', retry: 'retry-after', type: 'content-type' };

/** 'n1/1-3' or '1-3' with the sequence in full. */
function long(text) {
  const cut = text.lastIndexOf('/') + 1, [incarnation, seq] = text.slice(cut).split('-');
  return `${text.slice(0, cut)}${incarnation.padStart(13, '0')}-${seq.padStart(12, '0')}`;
}
const longAll = values => Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Array.isArray(value) ? value.map(long) : long(value)]));

function event(text) {
  const [, number, origin, sequence, type, node, subject] = /^(\d+) (\w+)\/(\S+) ([^@:]+)(?:@([^:]*))?(?::(.*))?$/.exec(text);
  return { number: Number(number), origin, sequence: long(sequence), type, node: node || origin, subject: subject ?? '' };
}

function body(value) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return String(value ?? '');
  const long = { ...value };
  if (long.seen) long.seen = longAll(long.seen);
  if (long.events) long.events = long.events.map(e => typeof e === 'string' ? event(e) : e);
  if (long.lost) long.lost = longAll(long.lost);
  return JSON.stringify(long);
}

/** A monitor with its frames, on a clock that the table moves. */
class Player {
  now = 0; out = {}; began = [];
  constructor({ nodes, options, frames = {}, random = 0.5 }) {
    this.random = random;
    this.follow = new Follow(nodes, { ...options, ...options.seen && { seen: longAll(options.seen) } });
    this.frames = new Frames(options.after ?? '');
    for (const [name, { on, cursor }] of Object.entries(frames)) this.frames.register(name, new Interests(on), cursor, 0);
  }
  play(step) {
    this.out = {}; this.began = [];
    for (let due; (due = Math.min(this.follow.due ?? Infinity, this.frames.due)) <= step.at + TOLERANCE;) {
      this.now = Math.max(this.now, due);
      this.due();
    }
    this.now = Math.max(this.now, step.at);
    for (const [name, value] of Object.entries(step)) inputs[name]?.(this, value);
    this.due();
    return this.out;
  }
  due() {
    const { now, out } = this;
    if (this.follow.due !== null && this.follow.due <= now) {
      const { node, timeout, body, query } = this.follow.ask(now);
      (out.asks ??= []).push(body ? { node, timeout, resume: body } : { node, timeout, get: query });
      this.began.push(now);
    }
    for (const name of this.frames.ready(now)) { (out.refreshes ??= []).push(name); this.began.push(now); }
  }
  take(news) {
    this.frames.take(news, this.follow.cursor, this.now);
    if (news.events.length) this.out.handles = news.events.map(e => `${e.origin}/${e.sequence}`);
    if (news.gap) this.out.gap = { reason: news.gap.reason, lost: news.gap.lost };
    if (news.refused) this.out.refused = news.refused.status;
  }
}

const inputs = {
  answer: (p, answer) => {
    const headers = Object.fromEntries(Object.entries(HEADERS).filter(([key]) => key in answer).map(([key, name]) => [name, answer[key]]));
    p.take(p.follow.answer({ status: answer.status, headers, body: body(answer.body) }, p.now, p.random));
  },
  fail: p => p.take(p.follow.failed(p.now, p.random)),
  hide: p => p.follow.hide(),
  show: p => p.follow.show(p.now),
  wake: p => p.follow.wake(p.now),
  register: (p, { name, on, cursor }) => p.frames.register(name, new Interests(on), cursor, p.now),
  unregister: (p, name) => p.frames.unregister(name),
  refreshed: (p, { name, cursor }) => p.frames.refreshed(name, cursor, p.now),
  unrefreshed: (p, name) => p.frames.failed(name, p.now),
};

function expected(step) {
  const out = Object.fromEntries(OUTPUTS.filter(key => key in step).map(key => [key, step[key]]));
  if (out.asks) out.asks = [out.asks.resume?.seen ? { ...out.asks, resume: { ...out.asks.resume, seen: longAll(out.asks.resume.seen) } } : out.asks];
  if (out.handles) out.handles = out.handles.map(long);
  if (out.gap) out.gap = { reason: out.gap.reason, lost: longAll(out.gap.lost) };
  return out;
}

for (const one of table('follow_cases.json').cases) {
  test(`follow_cases: ${one.name}`, () => {
    const player = new Player(one);
    one.steps.forEach((step, number) => {
      const where = `step ${number}, at ${step.at}`;
      assert.deepEqual(player.play(step), expected(step), where);
      for (const when of player.began) assert.ok(Math.abs(when - step.at) <= TOLERANCE, `${where}: began at ${when}`);
      if ('state' in step) assert.equal(player.follow.state, step.state, where);
      if ('position' in step) {
        assert.deepEqual([player.follow.cursor, { ...player.follow.seen }], [step.position.cursor, longAll(step.position.seen)], where);
      }
    });
  });
}

for (const one of table('interest_cases.json').cases) {
  test(`interest_cases: ${one.on.slice(0, 60)}`, () => {
    const on = one.repeat ? one.on.repeat(one.repeat) : one.on;
    if (one.error) { assert.throws(() => new Interests(on)); return; }
    const interests = new Interests(on);
    for (const [type, node, subject] of one.matches ?? []) assert.ok(interests.match(type, node, subject), `${type}@${node}:${subject}`);
    for (const [type, node, subject] of one.others ?? []) assert.ok(!interests.match(type, node, subject), `${type}@${node}:${subject}`);
    if ('frame' in one) assert.equal(interests.withNodes().text, one.frame);
  });
}

test('tabs that cannot tell each other hold no polls, or eight of them would leave no connection for frames', () => {
  const { BroadcastChannel } = globalThis;
  assert.equal(new Monitor(['http://a']).follow.wait, 20);
  delete globalThis.BroadcastChannel;
  try { assert.equal(new Monitor(['http://a']).follow.wait, 0); } finally { globalThis.BroadcastChannel = BroadcastChannel; }
});
