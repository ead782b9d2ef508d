// Audits a server with graphql-http and says on each line how an audit went. Argument: the address of its /graphql.
import { serverAudits } from "graphql-http";

for (const audit of serverAudits({ url: process.argv[2] })) {
  const { id, name, status, reason } = await audit.fn();
  process.stdout.write(`${JSON.stringify(["audit", { id, name, status, reason: reason ?? null }])}\n`);
}
process.stdout.write(`${JSON.stringify(["done", null])}\n`);
