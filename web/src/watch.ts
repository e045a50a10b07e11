// The page of one video: /watch/{id} and /embed/{id}.
import { ask, follow, load, Refused, type Video } from "./api";
import { must, say } from "./dom";
import { Player } from "./player";
import { sentence, showActions, showStatus } from "./status";

const page = document.querySelector<HTMLElement>("[data-video]");
if (page) watch(page.dataset.video!);

function watch(id: string): void {
  const notice = must("#notice");
  const where = document.querySelector<HTMLElement>("#where"); // not in an embedded page
  const player = new Player(must<HTMLVideoElement>("#player"), id, async () => {
    // Either the video is gone or the addresses have expired. In the second case start over.
    try {
      show(await load(id));
    } catch (e) {
      if (e instanceof Refused && e.status === 410) gone(true);
    }
  });

  let canceled = false;
  let insider = false;

  function show(v: Video): void {
    canceled = v.ending === "canceled";
    insider = v.upload !== null || v.replicas.length > 0;
    if (v.visible) {
      notice.parentElement!.classList.remove("waiting");
      player.start().catch((e: Error) => say(notice, e.message));
    } else player.stop();
    say(notice, v.visible ? "" : sentence(v));
    if (where) say(where, v.visible ? sentence(v) : "");
    showStatus(v);
    const elsewhere = document.querySelector<HTMLElement>("#go-on");
    if (elsewhere) elsewhere.hidden = v.stage !== "uploading" || !v.upload?.url;
    showActions(v, async (command, details) => {
      await ask(id, command, details).then(show, (e: Error) => say(where ?? notice, e.message));
    });
  }

  function gone(erased: boolean): void {
    if (insider && !erased) return location.reload(); // it is there; the sign-in is not
    player.stop();
    document.querySelectorAll<HTMLElement>("#about, #controls, #status, #go-on").forEach((e) => e.remove());
    document.querySelectorAll<HTMLDialogElement>("dialog[open]").forEach((d) => d.close());
    document.title = canceled ? "Canceled" : "Deleted";
    if (where) say(where, "");
    say(notice, canceled ? "This video was canceled. Nothing of it is left on any server." : "This video was deleted.");
  }

  follow(id, show, gone);
}
