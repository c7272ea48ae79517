// @ts-check
/**
 * Live frames in anybody's page:
 *
 *   <script type=module src="http://node1:8340/static/embed.js" data-nodes="http://node2:8340 http://node3:8340"></script>
 *   <live-frame id=t-services src="/frame/content?at=%2Fservices"></live-frame>
 *
 * The nodes' setting feed.cors_origins must list the page's origin. `src` is a path at the nodes, or a URL of one.
 * `data-nodes`: further nodes to go on from when this one fails. <html data-tocsin> says how it stands: live, stale …
 * The page's own scripts may import { monitor } from here: monitor.on('service.failed', event => …). See docs/embed.md.
 */
import { Monitor } from './monitor.js';
import { parse, use } from './live-frame.js';

const home = new URL(import.meta.url);
const script = [...document.querySelectorAll('script[src]')].find(s => new URL(s.getAttribute('src') ?? '', document.baseURI).href === home.href);
const others = (script?.getAttribute('data-nodes') ?? '').split(/[\s,]+/).filter(Boolean);

export const monitor = new Monitor([home.origin, ...others], { cluster: home.origin });

const say = () => { document.documentElement.dataset.tocsin = monitor.state; };
monitor.addEventListener('state', say);
monitor.addEventListener('contact', say);
addEventListener('refreshed', event => {
  const frame = /** @type {Element} */ (event.target);
  for (const link of frame.querySelectorAll('a[href^="/"]')) {            // they lead to the node, not to this page's site
    link.setAttribute('href', new URL(link.getAttribute('href') ?? '', monitor.base).href);
  }
  icons ??= draw();
});

/** Frames show icons by their names; here they are drawn, once. @type {Promise<void> | null} */
let icons = null;
async function draw() {
  try {
    const answer = await fetch(`${monitor.base}/static/icons.svg`);
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const box = document.createElement('div');
    box.hidden = true;
    box.append(parse(await answer.text()));
    document.body.append(box);
  } catch { icons = null; }                                               // with the next refresh, maybe from another node
}

use(monitor);
say();
monitor.start();
