import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vite';

const here = (name) => join(import.meta.dirname, name);
const replace = (name, table) => ({
  name,
  enforce: 'pre',
  resolveId(source) {
    const found = table.find(([pattern]) => pattern.test(source));
    return found ? here(found[1]) : null;
  },
});

const bundled = new Set();
const packages = {
  name: 'packages',
  generateBundle(_, bundle) {
    for (const chunk of Object.values(bundle)) {
      for (const [id, module] of Object.entries(chunk.modules ?? {})) {
        const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id.replace('\0', ''))?.[0];
        if (folder && module.renderedLength > 0) bundled.add(folder);
      }
    }
  },
  closeBundle: () => writeFileSync(here('packages.json'), JSON.stringify([...bundled].sort())),
};

export default defineConfig({
  base: '/static/graphiql/',
  logLevel: 'error',
  // Else graphql-js takes its slow checks for development.
  define: { 'globalThis.process': 'true' },
  resolve: { alias: { 'prettier/parser-graphql': 'prettier/plugins/graphql' } },
  plugins: [
    replace('lean-pages', [
      [/^(monaco-graphql\/esm\/monaco-editor\.js|\.\/monaco-editor)$/, 'monaco.js'],
      [/\/(diff|embeddedDiff|multiDiff)EditorWidget\.js$/, 'absent.js'],
      [/^prettier\/(parser-babel|plugins\/estree)$/, 'jsonc.js'],
      [/^framer-motion$/, 'reorder.js'],
    ]),
    packages,
  ],
  worker: {
    format: 'es',
    plugins: () => [replace('lean-workers', [[/^prettier\//, 'absent.js']]), packages],
  },
  build: {
    outDir: join(process.env.STATIC, 'graphiql'),
    emptyOutDir: true,
    assetsInlineLimit: 0,
    target: 'es2022',
  },
});
