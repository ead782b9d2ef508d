import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const out = process.env.STATIC;
const modules = join(import.meta.dirname, 'node_modules');
const swagger = join(modules, 'swagger-ui-dist');
const read = (...parts) => readFileSync(join(...parts), 'utf8');

// Prettier and the editor list third parties for their whole packages; these are in the parts bundled here.
const PRETTIER_PARTS = [
  '@babel/code-frame', '@babel/helper-validator-identifier', 'diff', 'emoji-regex', 'escape-string-regexp',
  'get-east-asian-width', 'graphql', 'js-tokens', 'leven', 'narrow-emojis', 'picocolors', 'to-fast-properties',
  'vnopts',
];
const MONACO_PARTS = ['nodejs path library', 'markedjs'];

function prettierParts() {
  const sections = read(modules, 'prettier', 'THIRD-PARTY-NOTICES.md').split(/^## /m).slice(1);
  return sections.flatMap((section) => {
    const [, name, version] = /^(.+)@v(\S+)/.exec(section);
    const [, license, rest] = /^License: (\S+)([^]*)/m.exec(section);
    const text = [...rest.matchAll(/^> ?(.*)$/gm)].map((line) => line[1]).join('\n');
    return PRETTIER_PARTS.includes(name) ? [{ title: `${name} ${version} (in prettier)`, license, text }] : [];
  });
}

function monacoParts() {
  const notices = read(modules, 'monaco-editor', 'ThirdPartyNotices.txt');
  return MONACO_PARTS.map((name) => {
    const start = notices.indexOf(`%% ${name}`);
    return { title: `${name} (in monaco-editor)`, license: 'MIT', text: notices.slice(start).split(/^=+$/m)[1] };
  });
}

function notice(folder) {
  const { name, version, license, author } = JSON.parse(read(folder, 'package.json'));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const by = author?.name ?? author ?? 'not named';
  const text = file ? read(folder, file) : `No license text in the package. Author: ${by}.`;
  return { title: `${name} ${version}`, license, text };
}

const OWNER = /^\W{0,4}(copyright\b[^a-z]*(\(c\)|©|\d|[A-Z])|\(c\) )/i;
const PROSE = /copyright (notice|holder|owner|license)/i;
const isOwner = (line) => OWNER.test(line) && !PROSE.test(line);

// One license text stands once, below all the packages and copyright lines that share it.
function render(notices) {
  const groups = new Map();
  for (const { title, license, text } of notices) {
    const lines = text.replaceAll('\r', '').split('\n').map((line) => line.trimEnd());
    const owners = lines.filter(isOwner).map((line) => `    ${line.trim()}`);
    const body = lines.filter((line) => !isOwner(line)).join('\n').trim();
    const words = body.replace(/\W+/g, ' ').replace(/^ ?(the )?mit license (mit )?/i, '').toLowerCase();
    const group = groups.get(words) ?? { body, titles: new Set() };
    group.titles.add([`${title} (${license})`, ...owners].join('\n'));
    groups.set(words, group);
  }
  return [...groups.values()].map(({ body, titles }) => `${[...titles].join('\n')}\n\n${body}\n`);
}

mkdirSync(join(out, 'docs'), { recursive: true });
for (const name of ['swagger-ui-bundle.js', 'swagger-ui.css']) {
  writeFileSync(join(out, 'docs', name), read(swagger, name).replace(/\n?\/[/*]# sourceMappingURL=.*$/m, ''));
}

const inSwagger = read(swagger, 'swagger-ui-bundle.js.LICENSE.txt').trim();
const folders = JSON.parse(read(import.meta.dirname, 'packages.json'));
const sections = [
  'Third-party software in graphiql/ and docs/. Everything else in this folder is part of Strata.\n',
  ...render([...folders, swagger].map(notice).concat(prettierParts(), monacoParts())),
  `${read(swagger, 'NOTICE').trim()}\n\nswagger-ui-bundle.js contains:\n\n${inSwagger}\n`,
];
writeFileSync(join(out, 'LICENSES.txt'), sections.join(`\n${'-'.repeat(80)}\n\n`));
