// The telephone's line: SIP over the desk's WebSocket, sound by WebRTC. It knows no page.
//
// A talk outlives its page. What SIP needs to speak in it again lies in the tab's own storage. After
// a lost connection the same page goes on with the sound that never stopped; after a reload the page
// gives the broken leg up, and answers at once when the other side is put through to it again.

import {
  Grammar, Inviter, Registerer, RegistererState, Session, SessionDialog, SessionState, UserAgent, Web,
} from "./vendor/sip-0.21.2.js";

const HOST = "careline";
const KEPT = "careline-talk";
const EXPIRES_S = 300;
const CONNECT_WITHIN_S = 5;
// Without other networks to ask, every address is known at once.
const GATHER_WITHIN_MS = 500;
// By then Asterisk has given a silent telephone up (telephony/desk_phones.py).
const TAKEN_UP_WITHIN_MS = 6000;
// The desk asks every page once a second whether it is still there (agent_desk/phones.py). A page that
// hears nothing for so long has no connection, whatever the browser believes.
const QUESTION = "\r\n\r\n";
const ANSWER = "\r\n";
const QUIET_MS = 5000;
// For so long a talk that was broken by a reload is answered without being asked.
const EXPECTED_MS = 30000;
const WHY = {
  486: "busy", 600: "busy", 404: "not_found", 484: "not_found", 403: "refused", 603: "refused",
  480: "no_answer", 408: "no_answer",
};

/** A talk that another page began: SIP.js has no word for it, so its parts are put together here. */
class TakenUp extends Session {
  constructor(userAgent, kept) {
    super(userAgent, {});
    const uri = (text) => Grammar.URIParse(text);
    const dialog = {
      ...kept.dialog,
      localURI: uri(kept.dialog.localURI),
      remoteURI: uri(kept.dialog.remoteURI),
      remoteTarget: uri(kept.dialog.remoteTarget),
      early: false,
    };
    // Requests that were sent after it was kept have used some numbers.
    dialog.localSequenceNumber = (dialog.localSequenceNumber ?? 0) + 20;
    this.logger = userAgent.getLogger("careline.TakenUp");
    this._id = dialog.id;
    this._contact = String(userAgent.contact);
    this._dialog = new SessionDialog({ request: {} }, userAgent.userAgentCore, dialog, {
      onBye: (request) => this.onByeRequest(request),
      onInfo: (request) => this.onInfoRequest(request),
      onInvite: (request) => this.onInviteRequest(request),
      onMessage: (request) => this.onMessageRequest(request),
      onNotify: (request) => this.onNotifyRequest(request),
      onPrack: (request) => this.onPrackRequest(request),
      onRefer: (request) => this.onReferRequest(request),
    });
    this._state = SessionState.Established;
    userAgent._sessions[this._id] = this;
  }
}

export class Line {
  #userAgent = null;
  #registerer = null;
  #session = null;
  #talk = null;
  #expected = null;
  #heardAt = 0;
  #isMuted = false;
  /** Whether the talk is held. */
  isHeld = false;

  /**
   * `microphone` is the stream that is sent. `on` has ready(), lost(code), rings(talk,
   * isMuted), talks(talk, stream), sounds(stream) before the answer, ended(why).
   */
  constructor(microphone, on) {
    this.microphone = microphone;
    this.on = on;
    setInterval(() => this.#listen(), 1000);
  }

  /** Connect and register with what /phone/line gave; `on.ready` or `on.lost` follows. */
  async open({ seat, user, password, path }) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const uri = (name) => UserAgent.makeURI(`sip:${name}@${HOST}`);
    const userAgent = (this.#userAgent = new UserAgent({
      uri: uri(seat),
      authorizationUsername: user,
      authorizationPassword: password,
      userAgentString: "Careline",
      logBuiltinEnabled: false,
      noAnswerTimeout: 300,
      reconnectionAttempts: 0,
      transportOptions: {
        server: `${scheme}://${location.host}${path}`,
        connectionTimeout: CONNECT_WITHIN_S,
      },
      sessionDescriptionHandlerFactory: Web.defaultSessionDescriptionHandlerFactory(
        async () => this.microphone.clone(),
      ),
      sessionDescriptionHandlerFactoryOptions: {
        iceGatheringTimeout: GATHER_WITHIN_MS,
        peerConnectionConfiguration: { iceServers: [] },
      },
      delegate: { onInvite: (invitation) => this.#ring(invitation) },
    }));
    this.#watchConnection(userAgent);
    this.#heardAt = performance.now();
    await userAgent.start();
    // The seat's own telephone on the table registers as SEAT, the one in the browser as SEAT-desk.
    this.#registerer = new Registerer(userAgent, {
      expires: EXPIRES_S,
      params: { toUri: uri(user) },
    });
    this.#registerer.stateChange.addListener((state) => {
      if (state === RegistererState.Registered) this.on.ready();
      if (state === RegistererState.Unregistered) this.#lose(0);
    });
    await this.#registerer.register({
      requestDelegate: { onReject: () => this.#lose(0) },
    });
  }

  #watchConnection(userAgent) {
    userAgent.transport.onDisconnect = () => {
      if (userAgent === this.#userAgent) this.#lose(this.closeCode ?? 0);
    };
    // SIP.js does not tell with which code the desk has closed, and the code says why.
    const opened = userAgent.transport.onWebSocketClose.bind(userAgent.transport);
    userAgent.transport.onWebSocketClose = (event, socket) => {
      this.closeCode = event.code;
      opened(event, socket);
    };
    const heard = userAgent.transport.onWebSocketMessage.bind(userAgent.transport);
    userAgent.transport.onWebSocketMessage = (event, socket) => {
      this.#heardAt = performance.now();
      if (event.data === QUESTION) socket.send(ANSWER);
      else heard(event, socket);
    };
  }

  #listen() {
    const userAgent = this.#userAgent;
    if (!userAgent || performance.now() - this.#heardAt < QUIET_MS) return;
    this.#lose(0);
    // Over a dead network its goodbye takes long, and nobody waits for it.
    userAgent.transport.disconnect().catch(() => undefined);
  }

  #lose(code) {
    if (!this.#userAgent) return;
    this.#userAgent = null;
    this.#registerer = null;
    // What rings or is dialled goes with its connection, and nobody tells of its end: the next call
    // would find the line busy.
    if (this.#session?.state !== SessionState.Established) this.#drop();
    this.on.lost(code);
  }

  #drop() {
    this.#session?.sessionDescriptionHandler?.close();
    this.#session = null;
    this.#talk = null;
    this.isHeld = false;
  }

  /** Take up the talk that a page before this one has left, or this one before its connection. */
  async takeUp() {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
    if (!kept || Date.now() - kept.at > TAKEN_UP_WITHIN_MS) {
      this.#forget();
      return false;
    }
    const session = new TakenUp(this.#userAgent, kept);
    return this.#session ? this.#goOn(session, kept.talk) : this.#comeBack(session, kept);
  }

  // Only the connection was lost, the sound is still there: Asterisk learns the new connection.
  async #goOn(session, talk) {
    session._sessionDescriptionHandler = this.#session.sessionDescriptionHandler;
    this.#follow(session, talk);
    const isDone = await asked(session, this.isHeld);
    if (isDone) this.#begin();
    else this.#end("");
    return isDone;
  }

  // The sound went with the page before, and Asterisk gives a talk that runs no new one. So this leg
  // of it is given up as a broken one (44): the other side waits at the head of the line, and what
  // comes from there is answered at once.
  #comeBack(session, { talk, isSilent }) {
    this.#forget();
    this.#expected = { ...talk, isSilent, until: Date.now() + EXPECTED_MS };
    session.bye({ requestOptions: { extraHeaders: ["Reason: Q.850;cause=44"] } });
    return false;
  }

  #isExpected({ call, number }) {
    const { until = 0, ...talk } = this.#expected ?? {};
    if (Date.now() > until) return false;
    // One that the seat had dialled comes back as a call of its own.
    return talk.call ? talk.call === call : talk.number.slice(-8) === number.slice(-8);
  }

  #ring(invitation) {
    if (this.#session) {
      invitation.reject({ statusCode: 486 });
      return;
    }
    const from = invitation.remoteIdentity;
    const header = (name) => invitation.request.getHeader(name) ?? "";
    const number = from.uri.user ?? "";
    const who = from.displayName && from.displayName !== number ? from.displayName : "";
    this.#follow(invitation, {
      who,
      number: number === "anonymous" ? "" : number,
      call: header("X-Careline-Call"),
      since: Date.now(),
    });
    const isExpected = this.#isExpected(this.#talk);
    // Who was muted or held the talk is not heard again unawares.
    this.on.rings(this.#talk, isExpected && this.#expected.isSilent);
    if (isExpected) this.answer();
    this.#expected = null;
  }

  /** Dial. Only digits, * and #, and a + at the beginning are sent. */
  async dial(number) {
    const clean = (number.trim().startsWith("+") ? "+" : "") + number.replace(/[^0-9*#]/g, "");
    const target = UserAgent.makeURI(`sip:${clean.replaceAll("#", "%23")}@${HOST}`);
    if (!target || !/[0-9]/.test(clean) || this.#session || !this.#userAgent) return false;
    const inviter = new Inviter(this.#userAgent, target, { earlyMedia: true });
    this.#follow(inviter, { who: "", number: clean, call: "", since: Date.now() });
    let why = "";
    inviter.stateChange.addListener((state) => {
      // SIP.js says why only after it has said that.
      if (state === SessionState.Terminated) {
        setTimeout(() => inviter === this.#session && this.#end(why));
      }
    });
    await inviter.invite({
      requestDelegate: {
        onProgress: () => this.on.sounds(inviter.sessionDescriptionHandler?.remoteMediaStream),
        onReject: ({ message }) => (why = WHY[message.statusCode] ?? "failed"),
      },
    });
    return true;
  }

  #follow(session, talk) {
    this.#session = session;
    this.#talk = talk;
    session.stateChange.addListener((state) => {
      if (session !== this.#session) return;
      if (state === SessionState.Established) {
        this.#talk.since = Date.now();
        this.#begin();
      }
      // A dialled call tells itself why it ended.
      if (state === SessionState.Terminated && !(session instanceof Inviter)) this.#end("");
    });
  }

  #begin() {
    this.on.talks(this.#talk, this.#session.sessionDescriptionHandler.remoteMediaStream);
    this.keep();
  }

  #end(why) {
    this.#session = null;
    this.#talk = null;
    this.isHeld = false;
    this.#forget();
    this.on.ended(why);
  }

  /** Note what another page needs to go on with this talk; often, since nobody says goodbye. */
  keep() {
    const state = this.#session?.dialog?.dialogState;
    if (!state || this.#session.state !== SessionState.Established) return;
    const dialog = {
      ...state,
      localURI: String(state.localURI),
      remoteURI: String(state.remoteURI),
      remoteTarget: String(state.remoteTarget),
    };
    const isSilent = this.#isMuted || this.isHeld;
    const kept = { at: Date.now(), dialog, talk: this.#talk, isSilent };
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
  }

  #forget() {
    sessionStorage.removeItem(KEPT);
  }

  async answer() {
    if (this.#session?.state === SessionState.Initial) await this.#session.accept();
  }

  async hangUp() {
    const session = this.#session;
    switch (session?.state) {
      case SessionState.Initial:
      case SessionState.Establishing:
        // A dialled call that is not answered yet is taken back, one that rings is refused.
        await (session instanceof Inviter ? session.cancel() : session.reject({ statusCode: 486 }));
        break;
      case SessionState.Established:
        await session.bye();
        break;
    }
  }

  /** Not a word of ours is heard. */
  mute(isOn) {
    this.#isMuted = isOn;
    this.#setVoice();
  }

  /**
   * The other side hears music and not a word of ours until it is taken back, then as much as before.
   * Resolves to whether it was done.
   */
  async hold(isOn) {
    const session = this.#session;
    if (session?.state !== SessionState.Established) return false;
    const wasHeld = this.isHeld;
    this.isHeld = true;
    this.#setVoice();
    const isDone = await asked(session, isOn);
    if (session !== this.#session) return false;
    this.isHeld = isDone ? isOn : wasHeld;
    this.#setVoice();
    return isDone;
  }

  // Asterisk's music hides our voice from one who is held, but not from an emergency's room and not
  // from the recording: so it stops here.
  #setVoice() {
    for (const sender of this.#senders()) sender.track.enabled = !this.#isMuted && !this.isHeld;
  }

  /** One key of the keypad, heard by a menu on the other side. */
  press(key) {
    if (!/^[0-9*#]$/.test(key)) return;
    for (const { dtmf } of this.#senders()) {
      // What is inserted replaces what still waits, so that waits in front of it.
      dtmf?.insertDTMF(dtmf.toneBuffer + key, 120, 50);
    }
  }

  /** Send another microphone from now on, also in the middle of a talk. */
  async speakInto(microphone) {
    this.microphone = microphone;
    for (const sender of this.#senders()) {
      const [was, track] = [sender.track, microphone.clone().getAudioTracks()[0]];
      track.enabled = was.enabled;
      await sender.replaceTrack(track);
      was.stop();
    }
    // It may have been muted or held meanwhile.
    this.#setVoice();
  }

  #senders() {
    const connection = this.#session?.sessionDescriptionHandler?.peerConnection;
    return (connection?.getSenders() ?? []).filter((sender) => sender.track);
  }

  /** Close the connection: the seat is not rung any more. */
  async close() {
    const userAgent = this.#userAgent;
    this.#userAgent = null;
    this.#registerer = null;
    await userAgent?.transport.disconnect().catch(() => undefined);
  }
}

/** Ask the other side to hold the talk or to let it go on (re-INVITE): whether it did. */
function asked(session, hold) {
  return new Promise((resolve) => {
    session.invite({
      sessionDescriptionHandlerOptions: { hold },
      requestDelegate: { onAccept: () => resolve(true), onReject: () => resolve(false) },
    }).catch(() => resolve(false));
  });
}
