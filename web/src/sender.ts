// Sends a file to a tus upload for as long as the page is open. What the library
// would give up on after its own retries, this tries again, later and later but
// for ever: the server knows what is stored, so nothing is sent twice.
import { Upload, type DetailedError } from "tus-js-client";
import { here, load, type Video } from "./api";

/** What the page is told. */
export interface Listener {
  /** So many bytes have left this device; not all of them need be stored yet. */
  sent(bytes: number): void;
  /** It goes on by itself, once it can: why it can't now, or "" while it does. */
  waits(why: string): void;
  /** Another window or device sends this file now. This one has stopped. */
  taken(): void;
  /** The server wants no more of it, for a reason that the video tells. */
  ended(why: string): void;
}

const longestWait = 30_000; // ms
const silence = 60_000; // ms without a byte, until the connection is taken for dead
const patience = 8_000; // ms in which somebody else's bytes would show: the server stores what it has every 5 s

export class Sender {
  private running = false;
  private lost = false; // to another window
  private over = false;
  private failures = 0;
  private upload: Upload | null = null;
  private timer = 0;
  private watchdog = 0;
  private release: (() => void) | null = null;

  constructor(
    private readonly file: File,
    private readonly video: Video,
    private readonly listener: Listener,
  ) {
    addEventListener("online", () => {
      if (this.timer) this.attempt();
    });
  }

  /** Bytes are being sent, or will be as soon as that is possible. */
  get busy(): boolean {
    return this.running && !this.over;
  }

  /** Goes on from the last byte stored; does nothing if it is going on, has ended, or has been taken over. */
  start(): void {
    if (this.running || this.over || this.lost) return;
    this.running = true;
    this.hold();
    this.attempt();
  }

  /** Sends no byte more, until start. */
  stop(): void {
    this.running = false;
    this.quiet();
    this.listener.waits("");
  }

  /** Sends from here again what another window has taken over. */
  takeBack(): void {
    this.lost = false;
    this.start();
  }

  private quiet(): void {
    clearTimeout(this.timer);
    clearTimeout(this.watchdog);
    this.timer = 0;
    this.upload?.abort(); // what was stored stays
    this.upload = null;
  }

  private attempt(): void {
    this.quiet();
    if (!this.running) return;
    this.watch();
    this.upload = new Upload(this.file, {
      uploadUrl: here(this.video.upload!.url!), // with an endpoint it would begin from zero when in doubt
      uploadLengthDeferred: this.video.upload!.length === null,
      storeFingerprintForResuming: false,
      retryDelays: null,
      onProgress: (bytes) => {
        this.failures = 0;
        this.watch();
        this.listener.waits("");
        this.listener.sent(bytes);
      },
      onSuccess: () => {
        this.end();
        this.listener.waits("");
      },
      onError: (e) => this.failed(e),
    });
    this.upload.start();
  }

  private watch(): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.later("Waiting for the network"), silence);
  }

  private failed(e: Error | DetailedError): void {
    const status = ("originalResponse" in e && e.originalResponse?.getStatus()) || 0;
    if (status === 423) void this.locked();
    else if (status === 0) this.later("Waiting for the network");
    else if (status >= 500 || [408, 409, 425, 429, 460].includes(status)) this.later("Waiting for the server");
    else {
      this.end();
      this.listener.ended(`The server takes no more of this file (${status}).`);
    }
  }

  /**
   * Something keeps our bytes out: a pause, of which an event tells the page; a
   * request of our own that has not ended yet; or somebody else who sends the
   * same. Only then the offset moves without us, and two who both insist would
   * push each other out for ever.
   */
  private async locked(): Promise<void> {
    this.quiet();
    try {
      const before = await load(this.video.id);
      if (before.paused || before.stage !== "uploading") return this.later("Waiting for the server");
      await new Promise((go) => setTimeout(go, patience));
      const after = await load(this.video.id);
      if (this.running && after.upload!.offset > before.upload!.offset) return this.yield();
    } catch {
      // Nobody can tell now: ask again.
    }
    if (this.running) this.later("Waiting for the server");
  }

  private later(why: string): void {
    this.quiet();
    if (!this.running) return;
    const wait = Math.min(longestWait, 500 * 2 ** this.failures++) * (0.75 + Math.random() / 2);
    this.timer = setTimeout(() => this.attempt(), wait);
    this.listener.waits(navigator.onLine ? why : "Waiting for the network");
  }

  private yield(): void {
    this.lost = true;
    this.stop();
    this.listener.taken();
  }

  private end(): void {
    this.over = true;
    this.running = false;
    this.quiet();
    this.release?.();
  }

  /** Of two windows of one browser the later one sends. Without locks (no HTTPS) the server sorts it out; see locked. */
  private hold(): void {
    if (!navigator.locks || this.release) return;
    const held = new Promise<void>((release) => (this.release = release));
    navigator.locks
      .request(`reelflow/${this.video.id}`, { steal: true }, () => held)
      .catch(() => {
        this.release = null;
        if (!this.over) this.yield();
      });
  }
}
