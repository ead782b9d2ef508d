// Flags as applications ask for them: node flags.mjs server|web URL KEY [CONTEXT]
// Says a line of JSON for each thing that happens: {"details": …}, then for the web each change.
import { EventSource } from "eventsource";

const [, , kind, baseUrl, key, text] = process.argv;
const context = JSON.parse(text ?? "{}");
const headers = [["Authorization", `Bearer ${key}`]];
const say = (what, value) => console.log(JSON.stringify([what, value]));

const asked = [
  ["banner", "getStringDetails", "of the code"],
  ["items", "getNumberDetails", 0],
  ["limits", "getObjectDetails", {}],
  ["checkout", "getBooleanDetails", false],
  ["hidden", "getStringDetails", "of the code"],
  ["nothing", "getStringDetails", "of the code"],
];

async function details(client, ...more) {
  const found = {};
  for (const [flag, method, otherwise] of asked) {
    const { value, variant, reason, errorCode, flagMetadata } = await client[method](flag, otherwise, ...more);
    found[flag] = { value, variant, reason, errorCode, metadata: flagMetadata };
  }
  return found;
}

if (kind === "server") {
  const { OpenFeature } = await import("@openfeature/server-sdk");
  const { OFREPProvider } = await import("@openfeature/ofrep-provider");
  await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers }));
  const client = OpenFeature.getClient();
  say("details", await details(client, context));
  say("leaf", (await client.getStringDetails("/theme/color", "?", context)).value);
  await OpenFeature.close();
} else {
  globalThis.EventSource = EventSource;
  const { OpenFeature, ProviderEvents } = await import("@openfeature/web-sdk");
  const { OFREPWebProvider } = await import("@openfeature/ofrep-web-provider");
  await OpenFeature.setContext(context);
  const provider = new OFREPWebProvider({ baseUrl, headers, cacheMode: "disabled" });
  const client = OpenFeature.getClient();
  client.addHandler(ProviderEvents.ConfigurationChanged, async (event) => {
    say("changed", { flags: event?.flagsChanged, details: await details(client) });
  });
  await OpenFeature.setProviderAndWait(provider);
  say("details", await details(client));
}
