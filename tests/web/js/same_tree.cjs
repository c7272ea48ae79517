// Compares the syntax trees of modules, two and two: node same_tree.cjs A B … Private names may differ, consistently.
const { readFileSync } = require('node:fs');
const ts = require('typescript');

/** Every node from top to bottom: its kind, and the text of what has no parts. */
function tree(file) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true, ts.ScriptKind.JS);
  if (source.parseDiagnostics.length) throw new Error(`${file}: ${source.parseDiagnostics[0].messageText}`);
  const nodes = [], names = new Map();
  const visit = node => {
    let text = '';
    if (ts.isPrivateIdentifier(node)) text = names.get(node.text) ?? (names.set(node.text, `#${names.size}`), names.get(node.text));
    else if (ts.isTemplateLiteralToken(node)) text = node.rawText ?? node.text;
    else if (node.getChildCount(source) === 0) text = node.getText(source);
    nodes.push(`${ts.SyntaxKind[node.kind]} ${text}`);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return nodes;
}

const files = process.argv.slice(2);
for (let i = 0; i < files.length; i += 2) {
  const one = tree(files[i]), other = tree(files[i + 1]);
  const at = one.findIndex((node, n) => node !== other[n]);
  if (at < 0 && one.length === other.length) continue;
  console.log(`${files[i]}, node ${at}: ${one.slice(at - 5, at + 5).join(' | ')}  is now  ${other.slice(at - 5, at + 5).join(' | ')}`);
  process.exitCode = 1;
}
