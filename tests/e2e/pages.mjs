// Drives GraphiQL and the REST page in a browser and says on each line what it saw.
// Arguments: the browser, the server's address, a token, the page to drive (graphiql or docs).
import { chromium } from "playwright-core";

const [executablePath, url, token, page_] = process.argv.slice(2);
const say = (kind, value) => process.stdout.write(`${JSON.stringify([kind, value])}\n`);

async function graphiql(page) {
  await page.goto(`${url}/graphql`);
  await page.waitForSelector(".graphiql-query-editor .view-line");
  await page.waitForLoadState("networkidle");
  const tabs = page.locator(".graphiql-tab-button");
  const names = await tabs.allInnerTexts();
  for (const [index, name] of names.entries()) {
    await tabs.nth(index).click();
    // The page looks for the operations of a query a moment after it is shown.
    await page.waitForTimeout(1_500);
    if (index === 0) await signIn(page);
    const answer = name.trim() === "Events" ? await follow(page) : await run(page);
    say("ran", { name: name.trim(), answer });
  }
  await page.getByRole("button", { name: /documentation explorer/i }).first().click();
  await page.waitForSelector(".graphiql-doc-explorer");
  say("docs", await page.locator(".graphiql-doc-explorer").innerText());
  await page.reload();
  await page.waitForSelector(".graphiql-response");
  say("stored", await page.evaluate(() => JSON.stringify(localStorage)));
}

async function signIn(page) {
  await page.locator(".graphiql-editor-tool .monaco-editor:visible").first().click();
  await page.keyboard.press("Control+A");
  await page.keyboard.insertText(JSON.stringify({ Authorization: `Bearer ${token}` }));
  // The editor closes what it sees opened.
  await page.keyboard.press("Shift+Control+End");
  await page.keyboard.press("Delete");
  // The editor tells the page what it holds a little later.
  await page.waitForTimeout(500);
}

const isAnswer = (response) => response.url().endsWith("/graphql") && response.request().method() === "POST";

async function run(page) {
  // A busy machine may show the page before it listens.
  for (let tried = 1; ; tried++) {
    const answered = page.waitForResponse(isAnswer, { timeout: 8_000 }).catch((error) => tried === 5 && Promise.reject(error));
    await page.getByRole("button", { name: /execute query/i }).click();
    const response = await answered;
    if (response) return response.json();
  }
}

async function follow(page) {
  const frames = [];
  page.on("websocket", (socket) => socket.on("framereceived", (frame) => frames.push(JSON.parse(frame.payload).type)));
  await page.getByRole("button", { name: /execute query/i }).click();
  await page.waitForTimeout(500);
  for (let waited = 0; !frames.includes("connection_ack") && waited < 50; waited++) await page.waitForTimeout(100);
  await page.getByRole("button", { name: /stop query/i }).click();
  return frames;
}

async function docs(page) {
  await page.goto(`${url}/docs`);
  await page.waitForSelector(".opblock");
  say("operations", await page.locator(".opblock").count());
  await page.getByRole("button", { name: "Authorize" }).first().click();
  await page.locator(".auth-container input").first().fill(token);
  await page.locator(".auth-btn-wrapper button").first().click();
  await page.locator(".btn-done").click();
  const operation = page.locator("#operations-Projects-listProjects");
  await operation.locator(".opblock-summary").click();
  await operation.getByRole("button", { name: "Try it out" }).click();
  const answered = page.waitForResponse((response) => response.url().includes("/api/projects"));
  await operation.getByRole("button", { name: "Execute" }).click();
  const response = await answered;
  say("tried", { status: response.status(), body: await response.json() });
}

let shown;
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  shown = page;
  page.setDefaultTimeout(30_000);
  const outside = (request) => !request.url().startsWith(url) && !/^(data|blob):/.test(request.url());
  page.on("request", (request) => outside(request) && say("outside", request.url()));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && say("console", message.text()));
  page.on("pageerror", (error) => say("console", String(error)));
  page.on("response", (response) => response.status() >= 400 && say("failed", [response.status(), response.url()]));
  await { graphiql, docs }[page_](page);
  say("done", null);
} catch (error) {
  say("broken", [String(error), await shown?.locator("body").innerText()]);
} finally {
  await browser.close();
}
