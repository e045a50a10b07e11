// Plays one video, and stops at once when it is told to or refused a key. What
// fails for a while - the addresses, the playlists, the segments - is asked for
// again, later and later, and at once when somebody presses Play.
import Hls, { type ErrorData } from "hls.js";
import { here, playback, Refused, retryMessage, transient, type Playback } from "./api";
import { backOff, Recoveries } from "./retry";
import { ShownCaptions } from "./subtitles";

/** What the page is told. */
export interface PlayerListener {
  /** The server gives this viewer nothing to play: the video is gone, or the addresses have expired. The player has stopped. */
  refused(): void;
  /** Why it doesn't play, in a sentence; "" once it can. */
  problem(why: string): void;
}

const manifestErrors: string[] = [
  Hls.ErrorDetails.MANIFEST_LOAD_ERROR,
  Hls.ErrorDetails.MANIFEST_LOAD_TIMEOUT,
  Hls.ErrorDetails.MANIFEST_PARSING_ERROR,
];

export class Player {
  private hls: Hls | null = null;
  private wanted = false; // start was called, and stop not since
  private attempts = 0; // tells the answer to the last request for addresses from earlier ones
  private failures = 0; // in a row, since something was loaded
  private recoveries = new Recoveries();
  private again: (() => void) | null = null; // what is to be tried again
  private timer = 0;
  private position = 0; // where to go on, in seconds
  private resume = false;
  private readonly captions: ShownCaptions;

  constructor(
    private readonly element: HTMLVideoElement,
    private readonly id: string,
    private readonly listener: PlayerListener,
  ) {
    this.captions = new ShownCaptions(element);
    element.addEventListener("play", () => {
      if (!this.again) return;
      this.resume = true;
      this.retry();
    });
    element.addEventListener("error", () => this.wanted && !this.hls && element.error && this.nativeError(element.error.code));
    element.addEventListener("loadeddata", () => this.loaded());
    addEventListener("online", () => this.retry());
  }

  /** Plays as soon as that is possible; does nothing if it does already. */
  start(): void {
    if (this.wanted) return;
    this.wanted = true;
    void this.open();
  }

  /** The captions have changed: asks for their addresses. What plays goes on. */
  async renewCaptions(): Promise<void> {
    const attempt = this.attempts;
    const addresses = await playback(this.id).catch(() => null); // a later change, or the next opening, shows them
    if (addresses && attempt === this.attempts && this.wanted) this.captions.offer(addresses.captions.map((c) => ({ ...c, url: here(c.url) })));
  }

  /** Stops, and drops what is buffered. */
  stop(): void {
    this.wanted = false;
    this.forgetRetry();
    this.attempts++;
    this.detach();
    this.element.removeAttribute("poster");
    this.captions.offer([]);
    this.element.hidden = true;
  }

  /** Asks for addresses, and plays what they lead to. */
  private async open(): Promise<void> {
    const attempt = ++this.attempts;
    let addresses: Playback;
    try {
      addresses = await playback(this.id);
    } catch (e) {
      if (attempt === this.attempts) this.unanswered(e as Error);
      return;
    }
    if (attempt === this.attempts) this.attach(addresses);
  }

  private unanswered(e: Error): void {
    if (e instanceof Refused && !transient(e)) return this.refused();
    this.later(retryMessage(e), () => void this.open());
  }

  private attach(addresses: Playback): void {
    this.remember();
    this.detach();
    if (addresses.poster) this.element.poster = here(addresses.poster);
    this.captions.offer(addresses.captions.map((c) => ({ ...c, url: here(c.url) })));
    if (Hls.isSupported()) this.attachHls(here(addresses.hls));
    else this.element.src = here(addresses.hls);
    this.element.hidden = false;
    if (this.resume) this.element.play().catch(() => {}); // a browser may want a click for it
  }

  private attachHls(source: string): void {
    this.hls = new Hls({
      workerPath: document.querySelector<HTMLElement>("[data-worker]")?.dataset.worker ?? null,
      startPosition: Math.max(0.07, this.position), // B-frames leave a hole before the first picture
      // What is buffered can be watched after a deletion: keep little.
      maxBufferLength: 8,
      maxMaxBufferLength: 8,
      backBufferLength: 8,
    });
    this.hls.on(Hls.Events.FRAG_BUFFERED, () => this.loaded());
    this.hls.on(Hls.Events.ERROR, (_, e) => this.failed(e, source));
    this.hls.loadSource(source);
    this.hls.attachMedia(this.element);
  }

  private failed(e: ErrorData, source: string): void {
    if ([401, 403, 404, 410].includes(e.response?.code ?? 0)) return this.refused();
    if (!e.fatal) return;
    if (e.type === Hls.ErrorTypes.NETWORK_ERROR) return this.later(waiting, () => this.reload(e, source));
    if (!this.recoveries.allowed(this.element.currentTime)) return this.giveUp();
    if (e.type === Hls.ErrorTypes.MEDIA_ERROR) this.hls?.recoverMediaError();
    else void this.open();
  }

  /** hls.js doesn't fetch a master playlist again by startLoad, and old addresses may be the reason why nothing comes. */
  private reload(e: ErrorData, source: string): void {
    if (this.failures > 3) void this.open();
    else if (manifestErrors.includes(e.details)) this.hls?.loadSource(source);
    else this.hls?.startLoad();
  }

  /** Where the browser plays HLS itself, it tells little: a refusal looks like a kind of file that it doesn't know. */
  private nativeError(code: number): void {
    if (code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED) return this.refused();
    if (code === MediaError.MEDIA_ERR_DECODE && !this.recoveries.allowed(this.element.currentTime)) return this.giveUp();
    this.later(waiting, () => void this.open());
  }

  private loaded(): void {
    if (!this.wanted) return;
    this.failures = 0;
    this.listener.problem("");
  }

  private later(why: string, again: () => void): void {
    this.forgetRetry();
    if (this.failures > 0) this.listener.problem(why); // the first one is over before anybody has read of it
    this.again = again;
    this.timer = setTimeout(() => this.retry(), backOff(this.failures++));
  }

  private retry(): void {
    const again = this.again;
    this.forgetRetry();
    again?.();
  }

  private forgetRetry(): void {
    clearTimeout(this.timer);
    this.again = null;
  }

  private giveUp(): void {
    this.remember();
    this.forgetRetry();
    this.detach();
    this.recoveries.reset();
    this.listener.problem("A part of this video can't be played by this browser. Press Play to try again.");
    this.again = () => void this.open();
  }

  /** A key or playlist was refused: play no more. After the first time in a row the page asks why only a while later. */
  private refused(): void {
    this.remember();
    this.stop();
    const wait = this.failures === 0 ? 0 : backOff(this.failures);
    this.failures++;
    this.timer = setTimeout(() => this.listener.refused(), wait);
  }

  private remember(): void {
    if (!this.element.currentSrc || this.element.readyState === 0) return;
    this.position = this.element.currentTime;
    this.resume = !this.element.paused;
  }

  private detach(): void {
    this.hls?.destroy();
    this.hls = null;
    this.element.pause();
    this.element.removeAttribute("src");
    this.element.load(); // drops what is buffered
  }
}

const waiting = "Waiting for the network";
