"use strict";
const $ = (id) => document.getElementById(id);
const state = { items: [], next: null, chosen: null, message: null, tab: "html", read: new Set() };

const element = (name, text, attributes = {}) => {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
};

const when = (text) => {
  const at = new Date(text);
  const today = at.toDateString() === new Date().toDateString();
  return at.toLocaleString([], today ? { timeStyle: "medium" } : { dateStyle: "short", timeStyle: "short" });
};

const bytes = (n) => (n < 1024 ? `${n} B` : n < 1 << 20 ? `${(n / 1024).toFixed(1)} kB` : `${(n / (1 << 20)).toFixed(1)} MB`);

// fetchPage asks for what matches the search in either field.
async function fetchPage(after) {
  const search = $("search").value.trim();
  const query = new URLSearchParams({ limit: "100" });
  if (after) query.set("after", after);
  if (search) query.set(search.includes("@") ? "to" : "subject", search);
  return (await fetch(`/api/v1/messages?${query}`)).json();
}

async function reload() {
  const answer = await fetchPage();
  state.items = answer.items;
  state.next = answer.nextCursor;
  $("total").textContent = answer.total === 1 ? "1 message" : `${answer.total} messages`;
  $("smtp").textContent = answer.smtp;
  showList();
}

function showList() {
  $("list").replaceChildren(...state.items.map((item) => {
    const row = element("li", undefined, { tabindex: "0", "aria-current": String(item.id === state.chosen) });
    if (!state.read.has(item.id)) row.classList.add("unread");
    row.append(element("span", item.to.join(", "), { class: "to" }), element("time", when(item.receivedAt), { datetime: item.receivedAt }));
    const subject = element("span", item.subject || "(no subject)", { class: "subject" });
    if (item.attachments) subject.prepend(element("img", undefined, { src: "clip.svg", alt: "With attachments: ", class: "clip" }));
    row.append(subject);
    row.addEventListener("click", () => open(item.id));
    row.addEventListener("keydown", (e) => e.key === "Enter" && open(item.id));
    return row;
  }));
  $("more").hidden = !state.next;
  $("empty").hidden = state.items.length > 0 || state.chosen !== null;
}

async function open(id) {
  const answer = await fetch(`/api/v1/messages/${id}`);
  if (!answer.ok) return;
  state.chosen = id;
  state.read.add(id);
  state.message = await answer.json();
  const m = state.message;
  $("message").hidden = false;
  $("subject").textContent = m.subject || "(no subject)";
  const field = (name) => m.headers.find((h) => h.name.toLowerCase() === name)?.value;
  const meta = [["From", field("from")], ["To", field("to")], ["Cc", field("cc")], ["Delivered to", m.to.join(", ")], ["Received", `${when(m.receivedAt)} · ${bytes(m.size)}`]];
  $("meta").replaceChildren(...meta.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  document.querySelector('[data-tab="files"]').textContent = m.files.length ? `Attachments (${m.files.length})` : "Attachments";
  if (state.tab === "html" && !m.html) state.tab = "text";
  showTab();
  showList();
}

async function showTab() {
  const m = state.message, view = $("view");
  for (const tab of document.querySelectorAll('[role="tab"]')) tab.setAttribute("aria-selected", String(tab.dataset.tab === state.tab));
  $("width").hidden = $("images").hidden = state.tab !== "html";
  view.classList.toggle("phone", state.tab === "html" && $("width").getAttribute("aria-pressed") === "true");
  const none = (text) => element("p", text, { class: "none" });
  switch (state.tab) {
    case "html": {
      if (!m.html) return view.replaceChildren(none("This message has no HTML."));
      const images = $("images").getAttribute("aria-pressed") === "true" ? "?images=remote" : "";
      const sandbox = "allow-popups allow-popups-to-escape-sandbox";
      return view.replaceChildren(element("iframe", undefined, { sandbox, src: `/api/v1/messages/${m.id}/html${images}`, title: "HTML of the message" }));
    }
    case "text":
      return view.replaceChildren(m.text ? element("pre", m.text) : none("This message has no text."));
    case "source":
      return view.replaceChildren(element("pre", await (await fetch(`/api/v1/messages/${m.id}/source`)).text()));
    case "headers": {
      const table = element("table");
      for (const h of m.headers) {
        const row = element("tr");
        row.append(element("th", h.name), element("td", h.value));
        table.append(row);
      }
      return view.replaceChildren(table);
    }
    case "files": {
      if (!m.files.length) return view.replaceChildren(none("This message has no attachments."));
      const table = element("table");
      m.files.forEach((file, n) => {
        const row = element("tr"), cell = element("td");
        cell.append(element("a", file.filename || `part ${n}`, { href: `/api/v1/messages/${m.id}/attachments/${n}`, download: file.filename }));
        row.append(cell, element("td", file.contentType), element("td", bytes(file.size)), element("td", file.contentId ? `cid:${file.contentId}` : ""));
        table.append(row);
      });
      return view.replaceChildren(table);
    }
  }
}

for (const tab of document.querySelectorAll('[role="tab"]')) tab.addEventListener("click", () => { state.tab = tab.dataset.tab; showTab(); });
for (const id of ["width", "images"]) {
  $(id).addEventListener("click", () => {
    $(id).setAttribute("aria-pressed", String($(id).getAttribute("aria-pressed") !== "true"));
    showTab();
  });
}
$("search").addEventListener("input", reload);
$("more").addEventListener("click", async () => {
  const answer = await fetchPage(state.next);
  state.items.push(...answer.items);
  state.next = answer.nextCursor;
  showList();
});
$("clear").addEventListener("click", async () => {
  if (!confirm("Delete all messages?")) return;
  await fetch("/api/v1/messages", { method: "DELETE" });
  Object.assign(state, { chosen: null, message: null });
  $("message").hidden = true;
  reload();
});
document.addEventListener("keydown", (e) => {
  if (e.target.matches("input") || (e.key !== "ArrowDown" && e.key !== "ArrowUp")) return;
  const at = state.items.findIndex((item) => item.id === state.chosen) + (e.key === "ArrowDown" ? 1 : -1);
  if (state.items[at]) { e.preventDefault(); open(state.items[at].id); }
});

let pending = null; // a flood of mail is shown a few times a second
const stream = new EventSource("/api/v1/stream");
stream.addEventListener("message", () => { pending ??= setTimeout(() => { pending = null; reload(); }, 200); });
stream.addEventListener("open", reload);
reload().then(() => location.hash && open(location.hash.slice(1)));
