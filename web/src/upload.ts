// The page /upload: chooses a file, sends it, and shows what becomes of it. With
// ?video=ID it goes on with one that was begun before, here or on another device.
import { ask, create, follow, load, mine, Refused, Unreachable, type Video } from "./api";
import type { Answer } from "./confirm";
import { make, must, say } from "./dom";
import { Form } from "./form";
import { Sender } from "./sender";
import { complete, sentence, showActions, showStatus } from "./status";
import { forget, remember, remembered, same, type Begun } from "./unfinished";
import { moment, part, size } from "./words";

const page = must("#upload");
const user = page.dataset.user!;
const form = new Form(page, chosen);
const send = must<HTMLButtonElement>("#send");

let now: Video | null = null; // the video that this page is about
let sender: Sender | null = null;
let asking = 0; // commands under way: until they hold, events tell of before
let sent = 0;
let waits = ""; // why the sender does not send
let taken = false;

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
  if (sender?.busy) e.preventDefault();
});
addEventListener("signedout", () => sender?.stop());

if (page.dataset.video) void goOn(page.dataset.video);
else void listUnfinished();

/** Makes the video of the form, and sends its file. */
async function begin(): Promise<void> {
  form.refuse(form.objection);
  if (form.objection || now) return;
  send.disabled = true;
  try {
    const v = await insist(form.video());
    if (form.importing) return location.assign(`/watch/${v.id}`);
    remember(v.id, user, form.file!);
    history.replaceState(null, "", `/upload?video=${v.id}`);
    take(v);
    must("h1").focus(); // the button that was pressed is gone
    sendFile(form.file!);
  } catch (e) {
    form.refuse((e as Error).message);
  } finally {
    send.disabled = false;
  }
}

/** Asks until the server has answered; under one key that makes one video. */
async function insist(video: unknown): Promise<Video> {
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
  for (let wait = 1000; ; wait = Math.min(2 * wait, 30_000)) {
    try {
      const v = await create(video, key);
      form.refuse("");
      return v;
    } catch (e) {
      if (!(e instanceof Unreachable) && !(e instanceof Refused && e.status === 503)) throw e;
      form.refuse(`${e instanceof Unreachable ? "Waiting for the network" : e.message}`);
      await new Promise((go) => setTimeout(go, wait));
    }
  }
}

/** Goes on with a video that was begun before: its file has to be chosen again. */
async function goOn(id: string): Promise<void> {
  try {
    take(await load(id));
  } catch (e) {
    form.refuse((e as Error).message);
  }
}

/** From here on this page is about v. */
function take(v: Video): void {
  must("#new").hidden = true;
  must("#unfinished").hidden = true;
  must("#under-way").hidden = false;
  must("h1").textContent = v.title || "Untitled";
  show(v);
  follow(v.id, show, gone);
}

function sendFile(file: File): void {
  sender = new Sender(file, now!, {
    sent(bytes) {
      sent = bytes;
      showStatus(now!, sent);
    },
    waits(why) {
      if (why !== waits) tell((waits = why));
    },
    taken() {
      taken = true;
      show(now!);
    },
    ended(why) {
      load(now!.id).then(show, () => tell(why));
    },
  });
  show(now!);
}

/** A file was chosen: of a video begun before, or of a new one. */
async function chosen(file: File): Promise<void> {
  if (now) return again(file, now);
  const begun = remembered(user).find((b) => same(b, file));
  if (!begun) return;
  send.disabled = true; // until it is known which of both it is
  const v = await load(begun.id).catch(() => null); // gone, or nobody can tell now: then it is a new one
  send.disabled = false;
  if (v?.stage !== "uploading" || now) return;
  history.replaceState(null, "", `/upload?video=${v.id}`);
  take(v);
  sendFile(file);
}

/** Another file must not be mixed into what is stored. */
function again(file: File, v: Video): void {
  const begun = remembered(user).find((b) => b.id === v.id);
  const length = v.upload?.length ?? file.size;
  if (begun ? !same(begun, file) : file.size !== length)
    return form.refuse(`This is another file. Choose ${begun ? `${begun.name}, as it was` : `the one of ${size(length)}`} when the upload began.`);
  remember(v.id, user, file);
  sendFile(file);
}

function show(v: Video): void {
  now = v;
  const uploading = v.stage === "uploading" && v.ending === null;
  const missing = uploading && !complete(v);
  if (!asking && uploading && !v.paused) sender?.start();
  else if (!asking) sender?.stop();
  if (!uploading && v.stage !== "draft") forget(v.id);
  tell(waits);
  showStatus(v, sender?.busy ? sent : 0, sender?.busy || taken || !missing);
  showActions(v, command);
  must("#from-device").hidden = !missing && !sender;
  must("#choose").hidden = sender !== null || !missing;
  must("#taken").hidden = !taken || !missing;
  const until = missing && v.upload?.expires_at;
  say(must("#stays"), until ? `You can close this page. What is stored stays until ${moment(until)}: come back and choose the file again to go on.` : "");
  links(v);
}

/** Says where the video stands, or what keeps this page from sending it. */
function tell(why: string): void {
  if (!now) return;
  const chooses = !sender && now.stage === "uploading" && !now.paused && !complete(now) && !now.ending;
  const text = taken
    ? "Another window or device sends this file now."
    : why || (chooses ? `Choose ${nameOf(now)} again to go on.` : sentence(now));
  say(must("#where"), now.stage === "published" ? "Published" : text);
}

function nameOf(v: Video): string {
  const known = remembered(user).find((b) => b.id === v.id);
  return known?.name ?? (v.upload?.length ? `the same file (${size(v.upload.length)})` : "the same file");
}

async function command(name: string, details?: Answer): Promise<void> {
  asking++;
  sender?.stop(); // at once; whatever holds afterwards decides
  let after = now!;
  try {
    after = await ask(after.id, name, details);
  } catch (e) {
    say(must("#problem"), (e as Error).message);
    asking--;
    return show(now!);
  }
  asking--;
  say(must("#problem"), "");
  if (after.stage === "purged") gone(true);
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

function gone(erased: boolean): void {
  if (!now) return;
  if (!erased) return say(must("#problem"), "You are not signed in any more. What is being sent goes on. Sign in again, and reload this page, to see the rest.");
  forget(now.id);
  sender?.stop();
  sender = null;
  document.querySelectorAll<HTMLDialogElement>("dialog[open]").forEach((d) => d.close());
  for (const part of ["#status", "#controls", "#stays", "#from-device", "#watch", "#taken", "#drafts"]) must(part).hidden = true;
  must("#another").hidden = false;
  say(must("#where"), `${farewell(now)} Nothing of it is left on any server. Your own file is where it was.`);
}

function farewell(v: Video): string {
  if (v.failure) return v.failure.message;
  const reasons: Record<string, string> = { deleted: "Deleted.", canceled: "Canceled.", expired: "Expired: no byte came for too long." };
  return reasons[v.ending ?? ""] ?? (v.visible ? "Deleted." : "Canceled.");
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
  if (v instanceof Error ? v instanceof Refused && !v.passing : v.stage !== "draft" && v.stage !== "uploading") forget(b.id);
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
