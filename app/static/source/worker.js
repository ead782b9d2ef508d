// One bundle for the three workers of the editor, which share most of their code.
const languages = {
  graphql: () => import('monaco-graphql/esm/graphql.worker.js'),
  json: () => import('monaco-editor/esm/vs/language/json/json.worker.js'),
};
const plain = () => import('monaco-editor/esm/vs/editor/editor.worker.js');

// Messages that come before the import has finished would be lost.
const early = [];
self.onmessage = (event) => early.push(event);
(languages[self.name] ?? plain)().then(() => early.forEach((event) => self.onmessage(event)));
