import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { createElement } from 'react';
import { createRoot } from 'react-dom/client';
import EditorWorker from './worker.js?worker';
import { storage } from './storage.js';
import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import '@graphiql/plugin-history/style.css';
import 'graphiql/graphiql.css';
import './page.css';

const QUERY = `# To sign in, write under "Headers" below:
# {"Authorization": "Bearer <token or API key>"}
{ viewer { __typename } }
`;

globalThis.MonacoEnvironment = { getWorker: (_, label) => new EditorWorker({ name: label }) };

const socket = new URL(location.pathname, location.href);
socket.protocol = socket.protocol.replace('http', 'ws');

const page = createElement(
  GraphiQL,
  {
    fetcher: createGraphiQLFetcher({
      url: location.pathname,
      subscriptionUrl: socket.href,
      enableIncrementalDelivery: false,
    }),
    storage,
    defaultQuery: QUERY,
    defaultEditorToolsVisibility: 'headers',
    inputValueDeprecation: true,
    isHeadersEditorEnabled: true,
    shouldPersistHeaders: false,
    showPersistHeadersSettings: false,
  },
  createElement(GraphiQL.Logo, null, 'Strata'),
);
createRoot(document.getElementById('graphiql')).render(page);
