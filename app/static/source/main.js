import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { createElement } from 'react';
import { createRoot } from 'react-dom/client';
import EditorWorker from './worker.js?worker';
import queries from './queries.json';
import { storage } from './storage.js';
import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import '@graphiql/plugin-history/style.css';
import 'graphiql/graphiql.css';
import './page.css';

// Whatever is written in angle brackets is to be filled in, and is sent to nobody.
const HEADERS = '{ "Authorization": "Bearer <token or API key>" }';
const isReal = (authorization) => Boolean(authorization) && !authorization.includes('<');

globalThis.MonacoEnvironment = { getWorker: (_, label) => new EditorWorker({ name: label }) };

const socket = new URL(location.pathname, location.href);
socket.protocol = socket.protocol.replace('http', 'ws');

const fetcher = createGraphiQLFetcher({
  url: location.pathname,
  subscriptionUrl: socket.href,
  enableIncrementalDelivery: false,
});

// What signs in one tab signs in all, for as long as the page lives and no longer.
let authorization = null;

function signedIn(operation, options) {
  const { Authorization: given, ...headers } = options?.headers ?? {};
  if (isReal(given)) authorization = given;
  if (authorization) headers.Authorization = authorization;
  return fetcher(operation, { ...options, headers });
}

const page = createElement(
  GraphiQL,
  {
    fetcher: signedIn,
    storage,
    defaultTabs: queries.map((saved) => ({ ...saved, headers: HEADERS })),
    defaultHeaders: HEADERS,
    defaultEditorToolsVisibility: 'headers',
    inputValueDeprecation: true,
    isHeadersEditorEnabled: true,
    shouldPersistHeaders: false,
    showPersistHeadersSettings: false,
  },
  createElement(GraphiQL.Logo, null, 'Strata'),
);
createRoot(document.getElementById('graphiql')).render(page);
