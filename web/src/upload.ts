// The page /upload: chooses files, sends them one after the other, and shows what
// becomes of the one under way. With ?video=ID it goes on with one that was begun
// before, here or on another device.
import { showActions } from "./actions";
import { ask, create, load, mine, Refused, retryMessage, transient, Unreachable, type Video } from "./api";
import type { Answer } from "./confirm";
import { make, must, say } from "./dom";
import { identity } from "./files";
import { follow } from "./follow";
import { Form } from "./form";
import { older } from "./order";
import { backOff } from "./retry";
import { Sender } from "./sender";
import { complete, farewell, sentence, short, showStatus } from "./status";
import { forget, remember, remembered, same, type Begun } from "./unfinished";
import { moment, part, size } from "./words";

/** A file that waits for its turn, and what is said of it. */
interface Waiting {
  file: File;
  video: Record<string, unknown>;
}

const page = must("#upload");
const user = page.dataset.user!;
const form = new Form(page, chosen);
const send = must<HTMLButtonElement>("#send");

let now: Video | null = null; // the video that this page is about
let unfollow: (() => void) | null = null;
let sender: Sender | null = null;
let asking = 0; // commands under way: until they hold, events tell of before
let sent = 0;
let waits = ""; // why the sender does not send
let taken = false;
let queue: Waiting[] = [];
let moving = false; // to the next of the queue
let ended = false; // nothing is left of the video

form.element.addEventListener("submit", (e) => {
  e.preventDefault();
  void begin();
});
must("#take-back").addEventListener("click", () => {
  taken = false;
  sender?.takeBack();
  show(now!);
});
addEventListener("beforeunload", (e) => {
  if (sender?.busy || queue.length) e.preventDefault();
});
addEventListener("signedout", () => sender?.stop());

if (page.dataset.video) void goOn(page.dataset.video);
else void listUnfinished();

/** Makes the video of the form, and sends its file; others that were chosen wait for their turn. */
async function begin(): Promise<void> {
  await form.examined;
  if (now || send.disabled) return;
  if (form.objection) {
    form.refuse(form.objection);
    return form.lead();
  }
  send.disabled = true;
  try {
    if (form.importing) return location.assign(`/watch/${(await insist(form.video(null, true))).id}`);
    const [first, ...others] = form.files.map((file, i) => ({ file, video: form.video(file, i === 0) }));
    await sendNew(first);
    queue.push(...others);
    must("h1").focus(); // the button that was pressed is gone
    showQueue();
    if (now && !wanted(now)) void next();
  } catch (e) {
    form.refuse((e as Error).message, e instanceof Refused ? e.fields[0] : "");
    form.lead();
  } finally {
    send.disabled = false;
  }
}

/** Makes a video and sends its file. */
async function sendNew({ file, video }: Waiting): Promise<void> {
  const content = await identity(file);
  const v = await insist(video);
  remember(v.id, user, file, content);
  take(v);
  sendFile(file);
}

/** Asks until the server has answered; under one key that makes one video. */
async function insist(video: unknown): Promise<Video> {
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
  for (let failures = 0; ; failures++) {
    try {
      const v = await create(video, key);
      form.tell("");
      return v;
    } catch (e) {
      if (!(e instanceof Unreachable) && !(e instanceof Refused && e.status === 503)) throw e;
      form.tell(retryMessage(e));
      await pause(Math.max(backOff(failures + 1), e instanceof Refused ? e.wait : 0));
    }
  }
}

const pause = (ms: number) => new Promise((go) => setTimeout(go, ms));

/** Goes on with a video that was begun before: its file has to be chosen again. */
async function goOn(id: string): Promise<void> {
  for (let failures = 0; ; failures++) {
    try {
      const v = await load(id);
      form.tell("");
      return take(v);
    } catch (e) {
      form.tell(transient(e) ? retryMessage(e as Error) : (e as Error).message);
      if (!transient(e)) return;
      await pause(backOff(failures));
    }
  }
}

/** From here on this page is about v. */
function take(v: Video): void {
  unfollow?.();
  now = null;
  [sent, waits, taken, ended] = [0, "", false, false];
  history.replaceState(null, "", `/upload?video=${v.id}`);
  must("#new").hidden = true;
  must("#unfinished").hidden = true;
  must("#under-way").hidden = must("#controls").hidden = false;
  must("h1").textContent = v.title || "Untitled";
  say(must("#problem"), "");
  show(v);
  unfollow = follow(v.id, { video: show, gone });
}

function sendFile(file: File): void {
  form.sending = true;
  form.display(file);
  sender?.end();
  const video = now!;
  const current = () => now?.id === video.id;
  sender = new Sender(file, video, {
    sent(bytes) {
      if (!current()) return;
      sent = bytes;
      showStatus(now!, sent);
      entitle(now!);
    },
    waits(why) {
      if (current() && why !== waits) tell((waits = why));
    },
    taken() {
      taken = true;
      show(now!);
    },
    unreadable() {
      chooseAgain("This file was changed or can't be read any more; choose it again.");
    },
    ended(why) {
      waits = why;
      load(video.id).then(show, () => tell(why));
    },
  });
  show(now!);
}

/** The file under way is lost to this page: it has to be chosen once more. */
function chooseAgain(why: string): void {
  sender = null;
  form.sending = false;
  form.clear();
  waits = why;
  show(now!);
}

/** Files were chosen: of videos begun before, or of new ones. */
async function chosen(files: File[]): Promise<void> {
  const contents = await Promise.all(files.map(identity));
  const begun = remembered(user).find((b) => b.id === now?.id);
  if (now && (sender || !wanted(now))) return wait(files.filter((f, i) => !begun || !same(begun, f, contents[i])));
  if (now) return again(files, contents, now);
  send.disabled = true; // until it is known which of both they are
  const taken = await takeUp(files[0], contents[0]).finally(() => (send.disabled = false));
  if (taken) wait(files.slice(1));
}

/** Goes on with the video of a file, if it was begun before and still wants it. */
async function takeUp(file: File, content: string): Promise<boolean> {
  const begun = remembered(user).find((b) => same(b, file, content));
  if (!begun) return false;
  const v = await load(begun.id).catch(() => null); // gone, or nobody can tell now: then it is a new one
  if (v?.stage !== "uploading" || v.ending !== null || complete(v)) return false;
  take(v);
  sendFile(file);
  return true;
}

/** Another file must not be mixed into what is stored. */
function again(files: File[], contents: string[], v: Video): void {
  const begun = remembered(user).find((b) => b.id === v.id);
  const length = v.upload?.length;
  const i = files.findIndex((f, i) => (begun ? same(begun, f, contents[i]) : f.size === (length ?? f.size)));
  if (i < 0) return form.refuse(`This is another file. Choose ${begun ? `${begun.name}, as it was` : `the one of ${size(length!)}`} when the upload began.`);
  remember(v.id, user, files[i], contents[i]);
  waits = "";
  sendFile(files[i]);
  wait(files.filter((_, other) => other !== i));
}

/** Whether bytes of a video are yet to be sent. */
const wanted = (v: Video) => !ended && v.stage === "uploading" && v.ending === null && !complete(v);

/** Files that are chosen while one is being sent are sent after it. */
function wait(files: File[]): void {
  queue.push(...files.map((file) => ({ file, video: form.video(file, false) })));
  showQueue();
  if (now && !wanted(now)) void next();
}

/** Goes on to the next file, once this one's bytes are stored or wanted no more. */
async function next(): Promise<void> {
  if (moving || !queue.length || asking) return;
  const question = document.querySelector("dialog[open]"); // about this video
  if (question) return question.addEventListener("close", () => setTimeout(() => void next()), { once: true });
  moving = true;
  const before = now!;
  const waiting = queue.shift()!;
  try {
    const content = await identity(waiting.file);
    if (!(await takeUp(waiting.file, content))) await sendNew(waiting);
    must("#before").append(make("li", {}, make("a", { href: `/watch/${before.id}` }, before.title || "Untitled")));
  } catch (e) {
    say(must("#problem"), `${waiting.file.name} was not sent: ${(e as Error).message}`);
  }
  moving = false;
  showQueue();
  if (now!.id === before.id) void next();
}

function showQueue(): void {
  must("#before").hidden = must("#before").childElementCount === 0;
  const names = queue.map((w) => w.file.name);
  say(must("#queue"), names.length ? `Sent afterwards: ${names.join(", ")}` : "");
}

function show(v: Video): void {
  if (older(v, now) || ended) return;
  now = v;
  const uploading = v.stage === "uploading" && v.ending === null;
  const missing = wanted(v);
  if (!asking && uploading && !v.paused) sender?.start();
  else if (!asking) sender?.stop();
  if (!uploading && v.stage !== "draft") forget(v.id);
  tell(waits);
  entitle(v);
  showStatus(v, sender?.busy ? sent : 0, sender?.busy || taken || !missing);
  showActions(v, (name, details) => command(v.id, name, details));
  must("#from-device").hidden = !missing && !sender;
  must("#choose").hidden = sender !== null || !missing;
  must("#taken").hidden = !taken || !missing;
  const until = missing && v.upload?.expires_at;
  say(must("#stays"), until ? `You can close this page. What is stored stays until ${moment(until)}: come back and choose the file again to go on.` : "");
  links(v);
  if (!missing) void next();
}

/** Says in the title of the tab how far it is. */
function entitle(v: Video): void {
  document.title = [short(v, sender?.busy ? sent : 0), v.title || "Untitled", "reelflow"].filter((part) => part !== "").join(" · ");
}

/** Says where the video stands, or what keeps this page from sending it. */
function tell(why: string): void {
  if (!now) return;
  const chooses = !sender && now.stage === "uploading" && !now.paused && !complete(now) && !now.ending;
  const text = taken
    ? "Another window or device sends this file now."
    : (now.stage === "uploading" && !now.paused && why) || (chooses ? `Choose ${nameOf(now)} again to go on.` : sentence(now));
  say(must("#where"), now.stage === "published" ? "Published" : text);
}

function nameOf(v: Video): string {
  const known = remembered(user).find((b) => b.id === v.id);
  return known?.name ?? (v.upload?.length ? `the same file (${size(v.upload.length)})` : "the same file");
}

async function command(id: string, name: string, details?: Answer): Promise<void> {
  if (now?.id !== id) return;
  asking++;
  sender?.stop(); // at once; whatever holds afterwards decides
  let after = now!;
  try {
    after = await ask(after.id, name, details);
    say(must("#problem"), "");
  } catch (e) {
    say(must("#problem"), (e as Error).message);
    after = now!;
  }
  asking--;
  if (after.stage === "purged") gone("gone");
  else show(after);
}

/** What can be done with it besides commands. */
function links(v: Video): void {
  const watch = must<HTMLAnchorElement>("#watch");
  watch.href = `/watch/${v.id}`;
  watch.textContent = v.stage === "published" ? "Watch it" : "Preview";
  watch.hidden = !v.visible;
  must("#drafts").hidden = v.stage !== "draft";
  must("#another").hidden = v.stage === "uploading" && v.ending === null;
}

function gone(code: string): void {
  if (!now) return;
  if (code !== "gone") return say(must("#problem"), "You are not signed in any more. What is being sent goes on. Sign in again, and reload this page, to see the rest.");
  ended = true;
  forget(now.id);
  sender?.end();
  sender = null;
  form.sending = false;
  document.querySelectorAll<HTMLDialogElement>("dialog[open]").forEach((d) => d.close());
  for (const part of ["#status", "#controls", "#stays", "#from-device", "#watch", "#taken", "#drafts"]) must(part).hidden = true;
  must("#another").hidden = false;
  say(must("#where"), `${farewell(now)} Nothing of it is left on any server. Your own file is where it was.`);
  void next();
}

/** Shows what was begun and not finished: what this browser knows, and what the server does. */
async function listUnfinished(): Promise<void> {
  const known = remembered(user);
  let { videos, all } = await mine("uploading").catch(() => ({ videos: [] as Video[], all: false }));
  videos = videos.filter((v) => v.upload?.url && !complete(v) && !v.ending);
  if (all) known.filter((b) => !videos.some((v) => v.id === b.id)).forEach((b) => void settle(b));
  if (now) return; // meanwhile an upload has begun
  must("#unfinished").hidden = !videos.length;
  must("#unfinished ul").replaceChildren(...videos.map((v) => unfinished(v, known.find((b) => b.id === v.id))));
}

/** Forgets what is no longer to be sent; a draft may be taken up again. */
async function settle(b: Begun): Promise<void> {
  const v = await load(b.id).catch((e) => e as Error);
  if (v instanceof Error ? !transient(v) : v.stage !== "draft" && v.stage !== "uploading") forget(b.id);
}

function unfinished(v: Video, b?: Begun): HTMLLIElement {
  const name = b?.name ?? (v.title || "Untitled");
  const stored = v.upload!.length ? part(v.upload!.offset, v.upload!.length) : size(v.upload!.offset);
  const until = v.upload!.expires_at ? `, until ${moment(v.upload!.expires_at)}` : "";
  return make("li", {},
    make("span", { className: "name" }, name),
    make("span", { className: "quiet" }, `${stored} stored${until}${v.paused ? ", paused" : ""}`),
    make("a", { className: "button", href: `/upload?video=${v.id}`, ariaLabel: `Go on with ${name}` }, "Go on"),
  );
}
