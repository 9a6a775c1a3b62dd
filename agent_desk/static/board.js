// The live board: puts what the feed says on the screen. Text only ever enters by textContent.

import { arrange as arrangeRows, byId, made, pill, say } from "/static/drawing.js";
import { follow } from "/static/feed.js";
import { duration, keepTicking, serverNow, tickFrom } from "/static/ticking.js";
import { tellInTitle } from "/static/title.js";

const main = document.getElementById("main");
const words = JSON.parse(main.dataset.words);
const zone = document.getElementById("clock").dataset.zone;
const clock = new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeStyle: "medium" });
const day = new Intl.DateTimeFormat(document.documentElement.lang, {
  timeZone: zone, month: "short", day: "numeric", weekday: "short",
});

const items = { call: new Map(), queue: new Map(), seat: new Map(), trunk: new Map(), alarm: new Map(), emergency: new Map(), today: new Map() };
const rows = new Map();
const drawn = new WeakMap();
const SEAT_TONES = {
  available: "act", ringing: "wait", talking: "talk", "not answering": "wait",
};
const RESULT_TONES = { answered: "talk" };

// ── small tools ────────────────────────────────────────────────────────────────────────────────

function word(group, name) {
  return words[group]?.[name] ?? name;
}

function at(ms) {
  return ms === null ? "" : clock.format(ms);
}

/** The row of an item: the one on the screen, or a new one from its template. */
function rowOf(kind, key, template) {
  const name = `${kind} ${key}`;
  if (!rows.has(name)) rows.set(name, made(template));
  return rows.get(name);
}

/** Whether the row shows this very item already: with fifty calls most rows are not the one that changed. */
function isDrawn(row, item) {
  if (drawn.get(row) === item) return true;
  drawn.set(row, item);
  return false;
}

/** Put rows into a list; a table without any is not shown. */
function arrange(list, wanted, empty) {
  arrangeRows(list, wanted, empty);
  list.closest("table")?.toggleAttribute("hidden", wanted.length === 0);
}

// ── calls ──────────────────────────────────────────────────────────────────────────────────────

function callState(call) {
  if (call.state === "ended") return [word("result", call.result), RESULT_TONES[call.result] ?? "wait"];
  if (call.state === "talking") return [words.call.talking, "talk"];
  if (call.state === "entered") return [words.call.entered, "act"];
  if (call.direction === "outbound") return [words.call.dialling, "wait"];
  const place = call.place || "–";
  return [word("call", call.state).replace("{place}", place), "wait"];
}

function callRow(call) {
  const row = rowOf("call", call.id, "call-row");
  if (isDrawn(row, call)) return row;
  row.dataset.state = call.state;
  say(row, "who", call.who || words.other.unknown);
  say(row, "number", call.number || words.other.no_number);
  row.querySelector("[data-f=link]").setAttribute("href", "/calls/" + encodeURIComponent(call.id));
  row.querySelector("[data-f=sos]").hidden = call.entry !== "emergency";
  pill(row, "state", ...callState(call));
  say(row, "seats", call.seats.join(", "));
  const long = row.querySelector("[data-f=long]");
  if (call.state === "ended") {
    tickFrom(long, null);
    say(row, "long", call.result === "answered" ? duration(call.ended - call.since) : "");
  } else {
    tickFrom(long, call.since);
  }
  say(row, "at", at(call.state === "ended" ? call.ended : call.entered));
  return row;
}

// An emergency stands above everything else; the rest stays in its order and does not jump.
function bySosAndTime(a, b) {
  const isSos = (call) => Number(call.entry === "emergency");
  return isSos(b) - isSos(a) || a.entered - b.entered;
}

function showCalls() {
  const all = [...items.call.values()];
  const now = all.filter((call) => call.state !== "ended").sort(bySosAndTime);
  const over = all.filter((call) => call.state === "ended").sort((a, b) => b.ended - a.ended);
  arrange(byId("calls"), now.map(callRow), byId("no-calls"));
  arrange(byId("ended"), over.map(callRow), byId("no-ended"));
  showEmergencies(now);
  byId("talking").textContent = now.filter((call) => call.state === "talking").length;
}

// A case has its call's id. It is open from the room's first second until it is closed, which may be
// after the call; before that the call alone is there.
function showEmergencies(now = [...items.call.values()].filter((call) => call.state !== "ended")) {
  const calls = now.filter((call) => call.entry === "emergency").map((call) => call.id);
  const cases = [...items.emergency.values()].sort((a, b) => a.since - b.since);
  const left = cases.filter((one) => !calls.includes(one.id));
  const open = calls.length + left.length;
  say(byId("emergencies"), "open", String(open));
  byId("emergencies").classList.toggle("sos", open > 0);
  arrange(byId("open-cases"), left.map((one) => {
    const row = rowOf("emergency", one.id, "case-row");
    const call = items.call.get(one.id);
    say(row, "who", call?.who || one.who || words.other.unknown).setAttribute("href", "/calls/" + encodeURIComponent(one.id));
    pill(row, "state", word("case", one.state), one.state === "alone" ? "alarm" : "talk");
    tickFrom(row.querySelector("[data-f=long]"), one.since);
    return row;
  }));
  byId("cases").hidden = left.length === 0;
  tellEmergencies([...calls, ...left.map((one) => one.id)]);
}

/** Tell the newest open emergency to who does not see the board, and in the title that there is one. */
function tellEmergencies(ids) {
  const began = (id) => items.call.get(id)?.entered ?? items.emergency.get(id).since;
  const newest = ids.sort((a, b) => began(b) - began(a))[0];
  const call = items.call.get(newest);
  const sentence = newest === undefined ? "" : words.other.emergency
    .replace("{time}", at(began(newest)))
    .replace("{who}", call?.who || words.other.unknown)
    .replace("{number}", call?.number || words.other.no_number);
  // What is put there a second time would be read out a second time.
  if (byId("newest-emergency").textContent !== sentence) byId("newest-emergency").textContent = sentence;
  tellInTitle("emergency", ids.length ? words.other.emergencies.replace("{open}", ids.length) : "");
}

// ── queues, seats, trunks, alarms ──────────────────────────────────────────────────────────────

function showQueues() {
  for (const [name, queue] of items.queue) {
    const card = document.querySelector(`[data-queue="${CSS.escape(name)}"]`);
    if (!card) continue;
    say(card, "waiting", String(queue.waiting));
    card.classList.toggle("waits", queue.waiting > 0);
    card.classList.toggle("sos", queue.waiting > 0 && name === "emergency");
    const longest = card.querySelector("[data-f=longest]");
    tickFrom(longest, queue.since);
    if (queue.since === null) longest.textContent = "–";
  }
}

function showSeats() {
  const seats = [...items.seat.values()].sort((a, b) => a.extension.localeCompare(b.extension));
  arrange(byId("seats"), seats.map((seat) => {
    const row = rowOf("seat", seat.extension, "seat-row");
    if (isDrawn(row, seat)) return row;
    say(row, "name", seat.name && seat.name !== seat.extension
      ? `${seat.name} ${seat.extension}` : seat.extension);
    pill(row, "state", word("seat", seat.state), SEAT_TONES[seat.state] ?? "");
    const reason = say(row, "reason", seat.reason ? word("reason", seat.reason) : "");
    reason.hidden = !seat.reason;
    return row;
  }), byId("no-seats"));
  byId("free").textContent = seats.filter((seat) => seat.state === "available").length;
  byId("seats-of").textContent = `/ ${seats.length}`;
}

function showTrunks() {
  const trunks = [...items.trunk.values()].sort((a, b) => a.name.localeCompare(b.name));
  arrange(byId("trunks"), trunks.map((trunk) => {
    const row = rowOf("trunk", trunk.name, "trunk-row");
    say(row, "name", trunk.name);
    pill(row, "state", word("trunk", trunk.state), trunk.state === "up" ? "act" : "wait");
    return row;
  }), byId("no-trunks"));
}

function showAlarms() {
  const alarms = [...items.alarm.values()];
  alarms.sort((a, b) => Date.parse(b.raised_at) - Date.parse(a.raised_at));
  arrange(byId("alarms"), alarms.map((alarm) => {
    const row = rowOf("alarm", alarm.key, "alarm-row");
    say(row, "kind", word("alarm", alarm.kind));
    say(row, "at", at(Date.parse(alarm.raised_at)));
    say(row, "advice", words.advice[alarm.kind] ?? "");
    say(row, "text", alarm.text);
    const call = row.querySelector("[data-f=call]");
    call.hidden = !alarm.call;
    call.setAttribute("href", "/calls/" + encodeURIComponent(alarm.call));
    return row;
  }), byId("no-alarms"));
}

// A tenth of a percent tells more than is known; and 100 % is said only when nobody was missed.
function showToday() {
  const { offered, answered } = items.today.get("today");
  const rate = offered ? `${Math.floor((answered * 100) / offered)} %` : "–";
  say(byId("rate"), "rate", rate);
  const meaning = offered === null ? "uncounted" : offered === 0 ? "none_today" : "connected";
  say(byId("rate"), "meaning", words.other[meaning]
    .replace("{answered}", answered).replace("{offered}", offered));
}

const show = {
  call: showCalls, emergency: () => showEmergencies(), queue: showQueues, seat: showSeats, trunk: showTrunks, alarm: showAlarms,
  today: showToday,
};

// One thing that happens is told in several messages, and is drawn once.
const DRAW_AFTER_MS = 50;
const changed = new Set();

function drawSoon(kind) {
  if (changed.size === 0) setTimeout(drawChanged, DRAW_AFTER_MS);
  changed.add(kind);
}

function drawChanged() {
  const kinds = [...changed];
  changed.clear();
  for (const kind of kinds) show[kind]();
}

// ── the link ───────────────────────────────────────────────────────────────────────────────────

function linked(state) {
  const isLive = state === "live";
  main.classList.add("ready");
  const pillOf = byId("link");
  pillOf.textContent = words.other[state];
  pillOf.className = isLive ? "pill talk" : "pill wait";
}

follow({
  snapshot({ items: all }) {
    for (const map of Object.values(items)) map.clear();
    rows.clear();
    for (const { kind, key, item } of all) items[kind]?.set(key, item);
    for (const draw of Object.values(show)) draw();
  },
  put(kind, key, item) {
    // Orders are told too, and are on no board.
    if (!(kind in items)) return;
    items[kind].set(key, item);
    drawSoon(kind);
  },
  drop(kind, key) {
    if (!(kind in items)) return;
    items[kind].delete(key);
    rows.delete(`${kind} ${key}`);
    drawSoon(kind);
  },
  linked,
});

keepTicking(() => {
  byId("clock").textContent = `${day.format(serverNow())} ${clock.format(serverNow())}`;
});
