// Follows a subscription with the clients that others wrote, and says on each line what came.
// Arguments: the transport (ws or sse), the server's address, a token, the query, its variables as JSON.
import { createClient as createSseClient } from "graphql-sse";
import { createClient as createSocketClient } from "graphql-ws";
import WebSocket from "ws";

const [transport, url, token, query, variables] = process.argv.slice(2);

const say = (kind, value) => process.stdout.write(`${JSON.stringify([kind, value])}\n`);

const client =
  transport === "ws"
    ? createSocketClient({
        url: `${url.replace(/^http/, "ws")}/graphql`,
        webSocketImpl: WebSocket,
        connectionParams: { Authorization: `Bearer ${token}` },
        retryAttempts: 0,
        keepAlive: 200,
        on: {
          connected: () => say("connected", null),
          closed: (event) => say("closed", event.code),
          pong: () => say("pong", null),
        },
      })
    : createSseClient({ url: `${url}/graphql`, headers: { Authorization: `Bearer ${token}` }, retryAttempts: 0 });

client.subscribe(
  { query, variables: JSON.parse(variables) },
  {
    next: (result) => say("next", result),
    error: (error) => {
      say("error", Array.isArray(error) ? error : { code: error.code ?? null, message: String(error.message ?? error) });
      client.dispose();
    },
    complete: () => {
      say("complete", null);
      client.dispose();
    },
  },
);
