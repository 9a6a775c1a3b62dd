// The two rooms of an emergency, who is called, and who is on the way: drawn from the case.

import { Rows, byId, filled, pill, say } from "/static/drawing.js";
import { tickFrom } from "/static/ticking.js";

const rows = new Rows();
const FAILED = ["busy", "no answer", "rejected", "failed", "not accepted", "not allowed", "unseen"];
const SERVICES = ["ambulance", "fire", "police"];
const OPEN = ["asked", "ringing", "answered", "uncertain"];
const TONES = { asked: "wait", ringing: "wait", answered: "wait", uncertain: "alarm", there: "talk" };

export const isService = ({ kind }) => SERVICES.includes(kind);
export const roomOf = (person) => person.to || person.room;

/** The newest call of each party, by its key. */
export function newestLegs(kase) {
  return new Map(kase.legs.map((leg) => [leg.party, leg]));
}

/** Whom these are: name and, of a service, what it is. */
export function titled(one, words) {
  return isService(one) ? `${one.name} ${words.service[one.kind]}` : [one.name, one.relation].filter(Boolean).join(" ");
}

/** Why this person cannot be moved now; "" when they can. */
export function whyNotMoved(kase, person) {
  if (roomOf(person) === "side" || person.party !== "seat") return "";
  const others = kase.people.filter((one) => one.party === "seat" && roomOf(one) === "elder" && one !== person);
  return others.length ? "" : "only_seat";
}

/** A button that cannot be used now still says why when it is pressed. */
export function impossible(button, why, page) {
  button.dataset.why = why;
  if (why) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
  button.title = why ? page.words.why[why] : "";
}

export function drawRooms(kase, page) {
  const { words } = page;
  const newest = newestLegs(kase);
  const inRoom = (room) => kase.people.filter((one) => roomOf(one) === room);
  const open = kase.legs.filter((leg) => OPEN.includes(leg.state));
  const failed = [...newest.values()].filter((leg) => leg.state === "over" && FAILED.includes(leg.result));
  const inElder = [...(kase.closed ? [] : [{ elder: true }]), ...inRoom("elder")];
  const drawPerson = (row, one) => (one.elder ? drawElder(row, kase, page) : draw(row, one, kase, page));
  rows.show(byId("in-elder"), "person-row", inElder, (one) => one.channel ?? "", drawPerson);
  const aside = [...inRoom("side"), ...open, ...failed];
  const drawAside = (row, one) => (one.party && one.id ? drawCall(row, one, kase, page) : draw(row, one, kase, page));
  rows.show(byId("in-side"), "person-row", aside, (one) => one.id ?? one.channel, drawAside, byId("no-side"));
  const join = byId("join-all");
  join.hidden = !inRoom("side").length;
  impossible(join, kase.closed ? "closed" : "", page);
  const isGone = kase.away !== null, isSilent = kase.silent !== null;
  pill(byId("heard"), "", isGone ? words.wrong.away : isSilent ? words.say.no_sound : kase.elder_in ? words.say.here : words.say.not_here,
    isGone || isSilent ? "alarm" : kase.elder_in ? "talk" : "wait");
  byId("heard").hidden = Boolean(kase.closed);
}

function drawElder(row, kase, page) {
  const name = kase.card?.name || page.words.say.unknown;
  say(row, "av", name.slice(0, 1));
  say(row, "who", name);
  say(row, "how", page.words.say.elder);
  const isLive = kase.silent === null && kase.elder_in && !kase.closed;
  row.className = `leg elder-row ${isLive ? "live" : ""} ${isLive && kase.speaking ? "speaking" : ""}`;
  const isThere = !kase.closed && kase.away === null, long = row.querySelector("[data-f=long]");
  tickFrom(long, isThere ? kase.since : null);
  if (!isThere) long.textContent = "";
  row.querySelector(".do").hidden = true;
}

function draw(row, person, kase, page) {
  const { words } = page;
  const isMe = person.at !== "" && person.at === page.seat;
  row.dataset.channel = person.channel;
  row.dataset.leg = person.leg;
  say(row, "av", person.role || sign(person, person.who, words));
  say(row, "who", person.who + (isMe ? ` · ${words.say.you}` : ""));
  const what = person.party === "seat" ? words.role[person.role] ?? "" : person.relation || (words.party[person.kind] ?? "");
  const moves = person.to && person.to !== person.room ? words.say.moves : "";
  say(row, "how", [what, moves, person.muted ? words.say.muted : ""].filter(Boolean).join(" · "));
  row.className = `leg live ${person.speaking ? "speaking" : ""} ${person.muted ? "muted" : ""}`;
  tickFrom(row.querySelector("[data-f=long]"), person.since);
  const toElder = roomOf(person) === "side";
  const move = say(row, "move", toElder ? words.say.to_elder : words.say.aside);
  move.hidden = false;
  move.className = toElder ? "go" : "";
  row.dataset.room = toElder ? "elder" : "side";
  impossible(move, kase.closed ? "closed" : whyNotMoved(kase, person), page);
  const mute = say(row, "mute", person.muted ? words.say.unmute : words.say.mute);
  mute.hidden = false;
  mute.setAttribute("aria-pressed", String(person.muted));
  mute.dataset.muted = person.muted ? "no" : "yes";
  const drop = say(row, "drop", words.say.hang_up);
  drop.hidden = !person.leg;
  drop.dataset.do = "drop";
}

/** In one or three characters who it is: 120, or how they stand to the elder. */
function sign(one, name, words) {
  return isService(one) ? name.slice(0, 3) : (one.relation || words.party[one.kind] || name).slice(0, 1);
}

/** A call that has brought nobody yet, or nobody at all. */
function drawCall(row, leg, kase, page) {
  const { words } = page;
  const isOver = leg.state === "over";
  const nth = kase.legs.filter((one) => one.party === leg.party && one.asked <= leg.asked).length;
  row.dataset.leg = leg.id;
  row.dataset.party = leg.party;
  say(row, "av", sign(leg, leg.name, words));
  say(row, "who", titled(leg, words));
  const how = isOver ? words.result[leg.result] : words.leg[leg.state];
  say(row, "how", [how, nth > 1 ? filled(words.say.ordinal, { count: nth }) : ""].filter(Boolean).join(" · "));
  row.className = `leg ${isOver ? "failed" : leg.state === "uncertain" ? "uncertain" : "ringing"}`;
  const long = row.querySelector("[data-f=long]");
  tickFrom(long, isOver ? null : leg.rang ?? leg.asked);
  if (isOver) say(row, "long", page.clock(leg.ended));
  row.querySelector("[data-f=move]").hidden = row.querySelector("[data-f=mute]").hidden = true;
  const button = say(row, "drop", isOver ? words.say.again : words.say.hang_up);
  button.hidden = false;
  button.dataset.do = isOver ? "call" : "drop";
  impossible(button, isOver ? whyNotCalled(kase, { ...leg, numbers: [leg.number] }, page) : "", page);
}

// ── whom one can call ──────────────────────────────────────────────────────────────────────────

/** Why this party cannot be called now; "" when it can. */
export function whyNotCalled(kase, party, page) {
  if (kase.closed) return "closed";
  if (isService(party) && !page.mayCall) return "off";
  if (!isService(party) && !party.numbers.length) return "no_number";
  const newest = newestLegs(kase).get(party.key ?? party.party);
  return newest && newest.state !== "over" ? "called" : "";
}

/** Whom the key for all calls: everybody but the services who was not spoken to, and is not called. */
export function allToCall(kase, page) {
  const spoken = new Set(kase.legs.filter((leg) => leg.joined !== null).map((leg) => leg.party));
  return kase.parties.filter((one) => !isService(one) && !spoken.has(one.key) && !whyNotCalled(kase, one, page));
}

/** Whom the card is sent to as a message: everybody with a number who has not been sent it. */
export function toSend(kase) {
  const sent = new Set(kase.messages.filter(({ state }) => state !== "failed").map((one) => one.to));
  return kase.parties.filter((one) => !isService(one) && one.numbers.length && !sent.has(one.name));
}

function drawMessages(kase, page) {
  const ones = toSend(kase);
  say(byId("send-card"), "count", ones.length ? filled(page.words.say.to_send, { count: ones.length }) : "");
  impossible(byId("send-card"), ones.length ? "" : kase.messages.length ? "all_sent" : "nobody_known", page);
}

const whyNobody = (kase) => (kase.parties.some((one) => !isService(one) && one.numbers.length) ? "all_called" : "nobody_known");

export function drawCalls(kase, page) {
  const { words } = page;
  const newest = newestLegs(kase);
  for (const button of document.querySelectorAll(".service")) {
    const party = kase.parties.find((one) => one.kind === button.dataset.party);
    const leg = party && newest.get(party.key);
    say(button, "how", leg ? stateOf(leg, words) : words.service[button.dataset.party]);
    button.className = `service ${leg ? (leg.state === "over" ? "over" : TONES[leg.state]) : ""}`;
    button.dataset.key = party?.key ?? "";
    impossible(button, party ? whyNotCalled(kase, party, page) : "no_number", page);
  }
  const all = allToCall(kase, page);
  say(byId("call-all"), "count", all.length ? filled(words.say.to_call, { count: all.length }) : "");
  impossible(byId("call-all"), kase.closed ? "closed" : all.length ? "" : whyNobody(kase), page);
  drawMessages(kase, page);
  byId("no-agreement").hidden = kase.card?.has_agreement !== false;
  const others = kase.parties.filter((one) => !isService(one));
  rows.show(byId("contacts"), "contact-row", others, (one) => one.key, (row, one) => {
    const leg = newest.get(one.key);
    row.dataset.key = one.key;
    say(row, "who", one.name);
    say(row, "how", [one.relation || words.party[one.kind], one.numbers[0]].filter(Boolean).join(" · "));
    const message = kase.messages.findLast(({ to }) => to === one.name);
    const isBad = ["failed", "uncertain"].includes(message?.state);
    say(row, "message", message ? words.message[message.state] ?? message.state : "").className = isBad ? "missing" : "quiet";
    const state = row.querySelector("[data-f=state]");
    state.hidden = !leg;
    if (leg) pill(row, "state", stateOf(leg, words), TONES[leg.state] ?? "");
    say(row, "call", leg ? words.say.again : words.say.call);
    impossible(row.querySelector("[data-f=call]"), whyNotCalled(kase, one, page), page);
  });
}

const stateOf = (leg, words) => (leg.state === "over" ? words.result[leg.result] : words.leg[leg.state]) ?? leg.state;

// ── who is coming ──────────────────────────────────────────────────────────────────────────────

/** The calls of those who were spoken to: services first, each party once. */
export function coming(kase) {
  const spoken = [...newestLegs({ legs: kase.legs.filter((leg) => leg.answered !== null && (leg.state !== "over" || leg.joined !== null)) }).values()];
  return spoken.sort((a, b) => Number(isService(b)) - Number(isService(a)) || a.asked - b.asked);
}

/** Of whom the elder has to be told something new, the newest last. */
export function news(kase) {
  return kase.legs
    .filter((leg) => (leg.way !== null || leg.arrived !== null) && leg.elder_told === null)
    .sort((a, b) => (a.arrived ?? a.way) - (b.arrived ?? b.way));
}

/** Who was called and spoken to, is not there, and does not know yet that no help is needed. */
export function toCallOff(kase) {
  if (!kase.safe || kase.safe.reason) return [];
  return coming(kase).filter((leg) => leg.arrived === null && leg.off === null);
}

export function drawComing(kase, page) {
  const { words } = page;
  const legs = coming(kase);
  rows.show(byId("coming"), "coming-row", legs, (leg) => leg.id, (row, leg) => {
    row.dataset.leg = leg.id;
    row.classList.toggle("first", leg === legs[0]);
    say(row, "who", titled(leg, words));
    const isNews = leg.way !== null || leg.arrived !== null;
    const told = leg.elder_told === null ? words.say.not_told : filled(words.say.was_told, { at: page.clock(leg.elder_told) });
    say(row, "how", isNews ? told : stateOf(leg, words)).className = isNews && leg.elder_told === null ? "missing" : "quiet";
    for (const [mark, at] of [["told", leg.told], ["way", leg.way], ["arrived", leg.arrived], ["off", leg.off]]) {
      say(row, mark, at === null ? "" : page.clock(at));
      row.querySelector(`[data-f=${mark}]`).closest("button").setAttribute("aria-pressed", String(at !== null));
    }
    row.querySelector("[data-mark='called off']").hidden = leg.off === null && (!kase.safe || leg.arrived !== null);
  }, byId("no-coming"));
}

/** B is told within a second what is new; whoever is not with the elder sees it quietly. */
export function drawNews(kase, page) {
  const me = kase.people.find((one) => one.at !== "" && one.at === page.seat);
  const tells = page.role === "B" || (me && roomOf(me) === "elder");
  const ones = tells ? news(kase) : [];
  rows.show(byId("news"), "news-row", ones, (leg) => leg.id, (row, leg) => {
    row.dataset.leg = leg.id;
    const sentence = leg.arrived !== null ? page.words.say.news_arrived : page.words.say.news_way;
    say(row, "what", filled(sentence, { who: titled(leg, page.words) }));
    say(row, "at", page.clock(leg.arrived ?? leg.way));
  });
  return ones;
}
