// Random trees against morph.js. Each run is made from its number alone, so a failure can be repeated.
import { morph, parse } from '/static/morph.js';

function mulberry32(a) {
  return () => {
    a = a + 0x6D2B79F5 | 0;
    let t = Math.imul(a ^ a >>> 15, 1 | a);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 4294967296;
  };
}

const TAGS = ['div', 'p', 'span', 'ul', 'li', 'details', 'section', 'b', 'input', 'textarea', 'svg', 'table'];
const IDS = ['i1', 'i2', 'i3', 'i4', 'i5', 'i6', 'i7', 'i8', 'i9', 'x"y', 'ü ', 'i12'];
const TEXTS = ['a', 'b', '<&>', ' ', 'long text with words', '\u202e', 'ß'];
const escape = text => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

/** HTML of a random tree; an id has mostly the same tag. */
function tree(random) {
  const pick = list => list[Math.floor(random() * list.length)];
  const unused = new Set(IDS);
  const element = depth => {
    const id = random() < 0.45 && unused.size ? pick([...unused]) : '';
    unused.delete(id);
    const tag = id && random() < 0.93 ? TAGS[IDS.indexOf(id) % TAGS.length] : pick(TAGS);
    const key = !id && random() < 0.2 ? pick(['k1', 'k2', 'k3']) : '';
    let attributes = (id && ` id="${escape(id)}"`) + (key && ` data-key="${key}"`);
    for (const name of ['class', 'title', 'data-x', 'aria-label']) if (random() < 0.2) attributes += ` ${name}="${escape(pick(TEXTS))}"`;
    if (tag === 'input') return `<input${attributes}${random() < 0.5 ? ` value="${escape(pick(TEXTS))}"` : ''}${random() < 0.2 ? ' type="checkbox"' : ''}>`;
    if (tag === 'textarea') return `<textarea${attributes}>${escape(pick(TEXTS))}</textarea>`;
    if (tag === 'svg') return `<svg${attributes} viewBox="0 0 ${Math.floor(random() * 9)} 9"><use xlink:href="#${pick('abc'.split(''))}"></use><rect width="${Math.floor(random() * 9)}"></rect></svg>`;
    if (tag === 'table') return `<table${attributes}><tbody>${rows(depth)}</tbody></table>`;
    return `<${tag}${attributes}>${tag === 'details' ? '<summary>s</summary>' : ''}${children(depth + 1)}</${tag}>`;
  };
  const rows = depth => Array.from({ length: Math.floor(random() * 4) }, () => {
    const id = random() < 0.5 && unused.size ? pick([...unused]) : '';
    unused.delete(id);
    return `<tr${id && ` id="${escape(id)}"`}><td>${children(depth + 2)}</td></tr>`;
  }).join('');
  const children = depth => {
    let html = '', text = true;
    for (let n = Math.floor(random() * (depth > 4 ? 2 : 5)); n > 0; n--) {
      const kind = random();
      if (kind < 0.25 && !text) { html += escape(pick(TEXTS)); text = true; }
      else if (kind < 0.3) { html += `<!--${pick(['x', 'y'])}-->`; text = false; }
      else { html += element(depth); text = false; }
    }
    return html;
  };
  return children(0) + children(0);
}

/** Elements by id; an id that is there twice (the parser repairs bad nesting by doubling) is nobody's. */
function ids(root) {
  const all = [...root.querySelectorAll('[id]')], count = id => all.filter(e => e.id === id).length;
  return new Map(all.filter(e => count(e.id) === 1).map(e => [e.id, e]));
}
const inTree = (root, html) => { root.replaceChildren(parse(html)); };

/** The reader does something to what is there; returns a check of what is left of it. */
function read(root, random, stays) {
  const fields = [...root.querySelectorAll('input:not([type]), textarea')].filter(e => stays.has(e.id));
  const field = fields[Math.floor(random() * fields.length)];
  if (field) { field.value = 'typed by the reader'; field.focus(); field.setSelectionRange(3, 7); }
  const details = [...root.querySelectorAll('details')].find(e => stays.has(e.id));
  if (details) details.open = true;
  const focused = !!field && document.activeElement === field;           // not in a closed <details>
  return () => {
    if (focused && document.activeElement !== field && field.checkVisibility()) return 'focus lost';
    if (field && field.value !== 'typed by the reader') return 'typed text lost';
    if (focused && field.checkVisibility() && (field.selectionStart !== 3 || field.selectionEnd !== 7)) return 'caret lost';
    if (details && !details.open) return 'details closed';
    if (details) details.open = false;
    return '';
  };
}

/** @returns the first failure as text, '' if there is none */
export function fuzz(from, to) {
  const root = document.querySelector('live-frame');
  for (let run = from; run < to; run++) {
    const random = mulberry32(run), one = tree(random), two = random() < 0.5 ? tree(random) : change(one, random);
    inTree(root, one);
    const before = ids(root), expected = document.createElement('live-frame');
    expected.append(parse(two));
    const after = ids(expected), stays = new Set([...before].filter(([id, e]) => after.get(id)?.nodeName === e.nodeName && same(e, after.get(id))).map(([id]) => id));
    const check = read(root, random, stays);
    morph(root, parse(two));
    const lost = check();
    if (lost) return `run ${run}: ${lost}\n${one}\n${two}`;
    if (!root.isEqualNode(expected)) return `run ${run}: not equal\n${one}\n${two}\n${root.innerHTML}`;
    const now = ids(root);
    for (const id of stays) if (now.get(id) !== before.get(id)) return `run ${run}: id ${id} is another node\n${one}\n${two}`;
  }
  return '';
}

/** Whether a field stays of the same kind: a text field that becomes a checkbox has no caret. */
const same = (a, b) => a.nodeName !== 'INPUT' || a.type === b.type;

/** The same tree with a part left out, doubled text or an attribute changed: what a refresh mostly is. */
function change(html, random) {
  const root = document.createElement('div');
  root.append(parse(html));
  const all = [...root.querySelectorAll('*')].filter(e => !e.closest('svg'));
  for (let n = 0; n < 3 && all.length; n++) {
    const e = all[Math.floor(random() * all.length)], kind = random();
    if (kind < 0.3) e.remove();
    else if (kind < 0.6) e.title = 'changed';
    else if (e.parentNode) e.parentNode.prepend(e);
  }
  return root.innerHTML;
}

/** Milliseconds to bring 500 rows up to date, every tenth changed and one moved: the median of nine. */
export function table() {
  const root = document.querySelector('live-frame');
  const html = round => `<table><tbody>${Array.from({ length: 500 }, (_, i) => `<tr id="r${i}"><td>${i}</td><td>${i % 10 ? 'ok' : round}</td><td><a href="/x${i}">x</a></td></tr>`).join('')}</tbody></table>`;
  inTree(root, html(0));
  const times = Array.from({ length: 9 }, (_, round) => {
    const to = parse(html(round + 1)), start = performance.now();
    to.querySelector('tbody').prepend(to.querySelector('#r400'));
    morph(root, to);
    return performance.now() - start;
  });
  return times.sort((a, b) => a - b)[4];
}
