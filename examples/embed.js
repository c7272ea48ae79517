// The own script of examples/embed.html: says how things stand, and reacts to events of backups, each once.
const { monitor } = await import(document.querySelector('script[data-nodes]').src);

const words = {
  starting: 'Asking the cluster …', live: 'Live.', trying: 'Asking again …',
  stale: 'No node answers: what is framed is old.', refused: 'The nodes refuse to answer this page.',
};
const say = () => { document.getElementById('contact').textContent = words[monitor.state]; };
monitor.addEventListener('state', say);
say();

const list = document.getElementById('backups');
let empty = true;

/** @param {string} text */
function add(text) {
  const item = document.createElement('li');
  item.textContent = text;                         // text of events is text, never HTML
  if (empty) list.replaceChildren();
  empty = false;
  list.prepend(item);
}

monitor.on('backup.*', event => add(`${event.subject}: ${event.type.replace('backup.', '')}`));
monitor.addEventListener('gap', () => add('Some events were missed: look at the cluster’s own page.'));
