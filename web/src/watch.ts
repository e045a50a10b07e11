// The page of one video: /watch/{id} and /embed/{id}.
import { showActions } from "./actions";
import { CaptionForm } from "./captions";
import { ask, load, Refused, transient, type Video } from "./api";
import type { Answer } from "./confirm";
import { make, must, say } from "./dom";
import { follow } from "./follow";
import { older } from "./order";
import { Player } from "./player";
import { backOff } from "./retry";
import { farewell, sentence, short, showStatus } from "./status";

const embedded = document.body.classList.contains("embed");
const lookAgain = 30_000; // ms, for an embedded video that can't be watched yet

class WatchPage {
  private readonly notice = must("#notice");
  private readonly where = document.querySelector<HTMLElement>("#where"); // not in an embedded page
  private readonly element = must<HTMLVideoElement>("#player");
  private readonly title = document.title;
  private readonly player: Player;
  private readonly captions: CaptionForm;
  private now: Video | null = null;
  private problem = ""; // why it doesn't play
  private decided = ""; // what this reviewer has decided, here
  private over = false; // it can't be seen any more
  private failures = 0; // to load the video, in a row
  private stop: (() => void) | null = null; // what follows the video

  constructor(private readonly id: string) {
    this.captions = new CaptionForm(id, (v) => this.show(v));
    this.player = new Player(this.element, id, {
      refused: () => void this.look(),
      problem: (why) => {
        this.problem = why;
        if (this.now) this.speak(this.now);
      },
    });
  }

  start(): void {
    if (!embedded) return this.follow();
    void this.look();
    // Many may be on one page: none holds a connection before somebody watches it.
    this.element.addEventListener("play", () => document.hidden || this.follow());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.unfollow();
      else if (!this.element.paused) this.follow();
    });
    setInterval(() => {
      if (!document.hidden && this.now && !this.now.visible && !this.stop) void this.look();
    }, lookAgain);
  }

  private follow(): void {
    this.stop ??= follow(this.id, { video: (v) => this.show(v), gone: (code) => this.gone(code) });
  }

  private unfollow(): void {
    this.stop?.();
    this.stop = null;
  }

  /** Asks once what is so, until there is an answer. */
  private async look(): Promise<void> {
    try {
      this.show(await load(this.id));
      this.failures = 0;
    } catch (e) {
      if (e instanceof Refused && [404, 410].includes(e.status)) return this.gone(e.status === 410 ? "gone" : "not_found");
      if (transient(e)) setTimeout(() => void this.look(), backOff(this.failures++));
      else say(this.notice, (e as Error).message);
    }
  }

  private show(v: Video): void {
    if (this.over || older(v, this.now)) return;
    const recaptioned = this.now !== null && this.now.visible && JSON.stringify(this.now.captions) !== JSON.stringify(v.captions);
    this.now = v;
    if (!embedded) this.notice.parentElement!.classList.toggle("waiting", !v.visible);
    if (v.visible) this.player.start();
    else this.player.stop();
    if (recaptioned && v.visible) void this.player.renewCaptions();
    this.captions.show(v);
    this.speak(v);
    showStatus(v);
    if (!embedded && v.upload) document.title = [short(v), this.title].filter((part) => part !== "").join(" · ");
    const elsewhere = document.querySelector<HTMLElement>("#go-on");
    if (elsewhere) elsewhere.hidden = v.stage !== "uploading" || !v.upload?.url;
    showActions(v, (command, details) => this.command(command, details));
  }

  private speak(v: Video): void {
    say(this.notice, v.visible ? this.problem : sentence(v));
    if (this.where) say(this.where, v.visible ? sentence(v) : "");
  }

  private async command(command: string, details?: Answer): Promise<void> {
    if (command in outcomes) this.decided = command; // the stream may end before the answer comes
    try {
      const after = await ask(this.id, command, details);
      say(must("#problem"), "");
      if (after.stage === "purged") this.gone("gone");
      else if (!this.over) this.show(after);
    } catch (e) {
      this.decided = "";
      say(must("#problem"), (e as Error).message);
    }
  }

  private gone(code: string): void {
    this.over = true;
    this.unfollow();
    const insider = this.now !== null && (this.now.upload !== null || this.now.replicas.length > 0);
    if (insider && code !== "gone") return location.reload(); // it is there; the sign-in is not
    this.player.stop();
    if (!embedded) this.notice.parentElement!.classList.add("waiting");
    document.querySelectorAll<HTMLElement>("#controls, #status, #go-on, #own-captions").forEach((e) => e.remove());
    document.querySelectorAll<HTMLDialogElement>("dialog[open]").forEach((d) => d.close());
    if (this.where) say(this.where, "");
    if (code !== "gone" && this.decided) return say(this.notice, outcomes[this.decided]);
    document.querySelector("#about")?.remove();
    document.title = code !== "gone" ? "Not available" : this.now?.ending === "canceled" ? "Canceled" : "Deleted";
    say(this.notice, code === "gone" ? this.last(insider) : "This video is not available any more: it was deleted, or isn't shared with you now.");
    if (code === "gone" && insider) this.notice.after(make("a", { className: "button", href: `/v1/receipts/${this.id}` }, "Receipt of the erasure"));
  }

  private last(insider: boolean): string {
    if (this.now?.ending === "canceled") return "This video was canceled. Nothing of it is left on any server.";
    return insider && this.now!.ending !== "deleted" ? `${farewell(this.now!)} Nothing of it is left on any server.` : "This video was deleted.";
  }
}

const outcomes: Record<string, string> = {
  approve: "You have approved this video. It can be watched here once it is published.",
  reject: "You have rejected this video. Its author can read why.",
};

const page = document.querySelector<HTMLElement>("[data-video]");
if (page) new WatchPage(page.dataset.video!).start();
