// The open emergencies, as a list and on the wall: kept by the board's feed, the worst first.

import { Rows, byId, filled, say } from "/static/drawing.js";
import { follow } from "/static/feed.js";
import { keepTicking, serverNow, tickFrom } from "/static/ticking.js";

const main = byId("main");
const words = JSON.parse(main.dataset.words);
const clock = new Intl.DateTimeFormat("en-GB", { timeZone: main.dataset.zone, timeStyle: "medium" });
const isWall = main.classList.contains("wall-main");
const cases = new Map();
const left = new Map();
const byKind = { emergency: cases, unfinished: left };
const day = new Intl.DateTimeFormat(document.documentElement.lang, {
  timeZone: main.dataset.zone, month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hour12: false,
});
const rows = new Rows();
const TONES = { asked: "wait", ringing: "wait", answered: "wait", uncertain: "alarm", there: "talk" };

function draw() {
  const all = [...cases.values()].sort((a, b) => Number(b.wrong.length > 0) - Number(a.wrong.length > 0) || a.since - b.since);
  rows.show(byId("cases"), "case", all, (one) => one.id, drawCase, byId("none"));
  document.body.classList.toggle("wrong", all.some((one) => one.wrong.length));
  if (!isWall) drawLeft();
}

/** Those that wait for a person's word, the oldest first. */
function drawLeft() {
  const ones = [...left.values()].sort((a, b) => a.due - b.due);
  byId("unfinished-card").hidden = !ones.length;
  rows.show(byId("unfinished"), "left", ones, (one) => one.id, (row, one) => {
    const name = say(row, "who", one.who || words.say.unknown);
    if (name.matches("a")) name.href = `/rescue/${encodeURIComponent(one.id)}`;
    say(row, "at", one.closed === null ? "" : day.format(one.closed));
    const until = one.state === "closed" ? ` · ${filled(words.say.by, { at: day.format(one.due) })}` : "";
    say(row, "state", (words.closing[one.state] ?? one.state) + until);
  });
}

function drawCase(row, one) {
  const name = say(row, "who", one.who || words.say.unknown);
  if (name.matches("a")) name.href = `/rescue/${encodeURIComponent(one.id)}`;
  row.classList.toggle("wrong", one.wrong.length > 0);
  tickFrom(row.querySelector("[data-f=long]"), one.since);
  say(row, "kind", words.kind[one.kind] ?? "").hidden = !one.kind;
  say(row, "place", one.place);
  say(row, "with", filled(words.say.with, { who: one.with.join(words.say.comma) || words.say.nobody }));
  const gaps = one.gaps.map((gap) => words.gap[gap] ?? gap).join(words.say.comma);
  say(row, "gaps", gaps ? filled(words.say.gaps, { gaps }) : "").hidden = !gaps;
  list(row, one, "wrong", "pill", one.wrong.filter((name) => isWall || !name.startsWith("no ")), (name) => name,
    (it, name) => pillOf(it, words.wrong[name] ?? name, "alarm"));
  list(row, one, "roles", "role", one.roles, ({ role }) => role, (it, role) => {
    say(it, "role", role.role);
    const seat = say(it, "seat", role.seat || words.say.missing);
    if (!isWall) seat.className = `pill ${role.seat ? "talk" : "alarm"}`;
    it.classList.toggle("vacant", !role.seat);
  });
  list(row, one, "services", "pill", one.services, ({ kind }) => kind, (it, service) => {
    const state = service.arrived !== null ? words.say.arrived : service.way !== null ? words.say.way : words.leg[service.state];
    pillOf(it, `${service.name} ${state}`, TONES[service.state] ?? "");
  });
}

// A list within a row has a name of its own, by which its rows are found again.
function list(row, one, field, template, ones, keyOf, fill) {
  const slot = row.querySelector(`[data-f=${field}]`);
  slot.id = `${field}-${one.id}`;
  rows.show(slot, template, ones, keyOf, fill);
  slot.hidden = ones.length === 0;
}

function pillOf(it, text, tone) {
  say(it, "", text);
  it.className = `pill ${tone}`;
}

follow({
  snapshot({ items }) {
    for (const known of Object.values(byKind)) known.clear();
    for (const { kind, key, item } of items) byKind[kind]?.set(key, item);
    draw();
  },
  put(kind, key, item) {
    if (!(kind in byKind)) return;
    byKind[kind].set(key, item);
    draw();
  },
  drop(kind, key) {
    if (byKind[kind]?.delete(key)) draw();
  },
  linked(state) {
    const link = byId("link");
    if (!link) return;
    link.textContent = words.say[state];
    link.className = `pill ${state === "live" ? "talk" : "wait"}`;
  },
});

keepTicking(() => {
  if (byId("time")) byId("time").textContent = clock.format(serverNow());
});
