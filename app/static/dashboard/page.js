// Small comforts. Every page works without them.
"use strict";

const each = (selector, act, root = document) => root.querySelectorAll(selector).forEach(act);

// Menus close where people expect them to.
document.addEventListener("click", (event) => {
  each("details.menu[open]", (menu) => { if (!menu.contains(event.target)) menu.open = false; });
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  each("details.menu[open]", (menu) => { menu.open = false; menu.querySelector("summary").focus(); });
});

// What cannot be taken back is asked about, and no form is sent twice.
document.addEventListener("submit", (event) => {
  const form = event.target, says = form.dataset.confirm;
  if (says && !window.confirm(says)) { event.preventDefault(); return; }
  if (form.dataset.sent) { event.preventDefault(); return; }
  if (form.method === "post") form.dataset.sent = "1";
});
window.addEventListener("pageshow", () => each("form[data-sent]", (form) => delete form.dataset.sent));

// What somebody has written is not lost by leaving the page unawares.
let written = false;
document.addEventListener("input", (event) => { if (event.target.closest("form[data-keep]")) written = true; });
document.addEventListener("submit", () => { written = false; });
window.addEventListener("beforeunload", (event) => { if (written) event.preventDefault(); });

function prepare(root) {
  each("[data-focus]", (element) => element.focus(), root);
  each("[data-filter]", (input) => {
    const list = input.closest("[data-filter-list]");
    input.hidden = false;
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      let first = null;
      each("li", (item) => {
        const found = item.textContent.toLowerCase().includes(wanted);
        if (input.dataset.filter === "mark") {
          item.classList.toggle("match", found && wanted !== "");
          if (found && wanted && !first) first = item;
        } else item.hidden = !found;
      }, list);
      if (first) first.scrollIntoView({ block: "center" });
    });
  }, root);
  load(root);
}

// Counts are asked for one after the other, so that a long list asks for little at a time.
async function load(root) {
  for (const element of root.querySelectorAll("[data-load]")) {
    const address = element.dataset.load;
    delete element.dataset.load;
    try {
      const answer = await fetch(address, { headers: { accept: "text/html" } });
      if (answer.ok) element.innerHTML = new DOMParser().parseFromString(await answer.text(), "text/html").body.innerHTML;
    } catch { return; }
  }
}

// When something happens in the project, the parts of the page that show it are fetched anew.
const stream = document.body.dataset.live;
const light = document.querySelector("[data-light]");
let source = null, due = 0, last = "";

function follow() {
  if (!stream || source || document.hidden) return;
  source = new EventSource(stream + (last ? `?after=${encodeURIComponent(last)}` : ""));
  source.onopen = () => { if (light) light.dataset.on = "true"; };
  source.onerror = () => { if (light) light.dataset.on = "false"; };
  source.addEventListener("happened", (event) => {
    last = event.lastEventId || last;
    const data = JSON.parse(event.data);
    const here = document.body.dataset.env;
    if (here && data.env_uuid && data.env_uuid !== here && !document.body.dataset.all) return;
    window.clearTimeout(due);
    due = window.setTimeout(renew, 300);
  });
}

function leave() {
  if (source) source.close();
  source = null;
  if (light) light.dataset.on = "false";
}

const busy = (part) => part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");

async function renew() {
  const parts = document.querySelectorAll("[data-part]");
  if (!parts.length) return;
  let answer;
  try { answer = await fetch(location.href, { headers: { accept: "text/html" } }); } catch { return; }
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of parts) {
    const next = fresh.getElementById(part.id);
    if (!next || busy(part) || next.innerHTML === part.innerHTML) continue;
    each("[data-load]", (element) => {
      const known = part.querySelector(`[href="${element.getAttribute("href")}"]`);
      if (known && known.innerHTML) element.innerHTML = known.innerHTML;
    }, next);
    part.innerHTML = next.innerHTML;
    prepare(part);
  }
}

// A browser opens few connections to one server, so only the page that is looked at follows.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) leave();
  else { renew(); follow(); }
});
prepare(document);
follow();
