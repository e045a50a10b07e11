// Sends a file to a tus upload for as long as the page is open, in pieces of some
// seconds. What the library would give up on after its own retries, this tries
// again, later and later but for ever: the server knows what is stored, so nothing
// is sent twice.
import { DetailedError, Upload, type HttpRequest, type HttpResponse } from "tus-js-client";
import { here, load, type Video } from "./api";
import { keepAwake } from "./awake";
import { readable, Unreadable } from "./files";
import { Pieces } from "./pieces";
import { backOff, retryAfter } from "./retry";
import { size } from "./words";

/** What the page is told. */
export interface Listener {
  /** So many bytes have left this device; not all of them need be stored yet. */
  sent(bytes: number): void;
  /** It goes on by itself, once it can: why it can't now, or "" while it does. */
  waits(why: string): void;
  /** Another window or device sends this file now. This one has stopped. */
  taken(): void;
  /** The file was changed, moved or taken away. It has to be chosen again. */
  unreadable(): void;
  /** No more of it is taken, for a reason that the video tells, or this one. */
  ended(why: string): void;
}

const silence = 60_000; // ms without a byte, until the connection is taken for dead
const patience = 8_000; // ms in which somebody else's bytes would show: the server stores what it has every 5 s
const insists = 15_000; // ms in which whoever was told to send here insists on it
const looks = 3_000; // ms between two looks at the file

export class Sender {
  private running = false;
  private lost = false; // to another window
  private startedAt = performance.now(); // when somebody wanted the file sent from here
  private over = false;
  private failures = 0; // in a row, since the server stored something
  private stored = -1; // bytes, as the server said last
  private readonly pieces = new Pieces();
  private began = 0; // when the piece under way did, in ms
  private upload: Upload | null = null;
  private generation = 0; // of the attempts: what waited for an earlier one does nothing
  private timer = 0;
  private watchdog = 0;
  private looking = 0;
  private release: (() => void) | null = null;
  private readonly done = new AbortController();

  constructor(
    private readonly file: File,
    private readonly video: Video,
    private readonly listener: Listener,
  ) {
    addEventListener("online", () => this.timer && this.attempt(), { signal: this.done.signal });
  }

  /** Bytes are being sent, or will be as soon as that is possible. */
  get busy(): boolean {
    return this.running && !this.over;
  }

  /** Goes on from the last byte stored; does nothing if it is going on, has ended, or has been taken over. */
  start(): void {
    if (this.running || this.over || this.lost) return;
    this.running = true;
    keepAwake(true);
    this.looking = setInterval(() => void this.look(), looks);
    this.hold();
    this.attempt();
  }

  /** Sends no byte more, until start. */
  stop(): void {
    this.rest();
    this.listener.waits("");
  }

  /** Sends from here again what another window has taken over. */
  takeBack(): void {
    this.lost = false;
    this.startedAt = performance.now();
    this.start();
  }

  /** Sends no byte more, ever, and leaves the file to whoever wants it. */
  end(): void {
    this.over = true;
    this.rest();
    this.done.abort();
    this.release?.();
  }

  private rest(): void {
    this.running = false;
    clearInterval(this.looking);
    keepAwake(false);
    this.quiet();
  }

  private quiet(): void {
    this.generation++;
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
    const upload = new Upload(this.file, {
      uploadUrl: here(this.video.upload!.url!), // with an endpoint it would begin from zero when in doubt
      uploadLengthDeferred: this.video.upload!.length === null,
      chunkSize: this.pieces.size,
      storeFingerprintForResuming: false,
      retryDelays: null,
      onBeforeRequest: async (request) => {
        await this.before(request);
        if (this.upload !== upload) throw new Error("stopped meanwhile"); // aborting does nothing to what was not sent yet
      },
      onAfterResponse: (request, answer) => {
        this.after(request, answer);
        upload.options.chunkSize = this.pieces.size;
      },
      onProgress: (bytes) => {
        this.watch();
        this.listener.waits("");
        this.listener.sent(bytes);
      },
      onSuccess: () => {
        this.end();
        this.listener.waits("");
      },
      onError: (e) => this.upload === upload && this.failed(e),
    });
    this.upload = upload;
    upload.start();
  }

  /** Before each piece: is it still the file that was chosen? */
  private async before(request: HttpRequest): Promise<void> {
    if (request.getMethod() !== "PATCH") return;
    await readable(this.file, offsetOf(request.getHeader("Upload-Offset")));
    this.began = performance.now();
  }

  private after(request: HttpRequest, answer: HttpResponse): void {
    const offset = offsetOf(answer.getHeader("Upload-Offset"));
    if (!succeeded(answer) || Number.isNaN(offset)) return;
    if (request.getMethod() === "PATCH")
      this.pieces.stored(offset - offsetOf(request.getHeader("Upload-Offset")), performance.now() - this.began);
    if (offset > this.stored) this.failures = 0;
    this.stored = offset;
  }

  private watch(): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.broken(), silence);
  }

  private failed(e: Error | DetailedError): void {
    const answer = (e instanceof DetailedError && e.originalResponse) || null;
    const status = answer?.getStatus() ?? 0;
    if (e instanceof DetailedError && e.causingError instanceof Unreadable) return this.unreadable();
    if (!answer || status === 0) return void this.broken();
    if (status === 423) return void this.locked();
    if (status === 408) this.pieces.broken();
    if (status === 511) return this.later("Waiting for the network"); // a portal, RFC 6585
    if (status >= 500 || [408, 409, 425, 429, 460].includes(status))
      return this.later("Waiting for the server", retryAfter(answer.getHeader("Retry-After")));
    if (ours(answer) && !succeeded(answer)) return this.finish(`The server takes no more of this file (${status}).`);
    if (status === 413 && e instanceof DetailedError) return this.tooLarge(e.originalRequest);
    this.later("Waiting for the network"); // something answers in the server's place
  }

  /** No answer: the network, or the browser, which reads no file that was changed. */
  private async broken(): Promise<void> {
    this.pieces.broken();
    this.later("Waiting for the network");
    await this.look();
  }

  private async look(): Promise<void> {
    try {
      await readable(this.file, Math.max(0, this.stored));
    } catch {
      if (this.busy) this.unreadable();
    }
  }

  private unreadable(): void {
    this.end();
    this.listener.unreadable();
  }

  /** A proxy on the way limits bodies: shorter ones may pass. */
  private tooLarge(request: HttpRequest): void {
    const from = offsetOf(request.getHeader("Upload-Offset"));
    const bytes = Math.min(this.upload!.options.chunkSize!, this.file.size - from);
    if (this.pieces.refused(bytes)) return this.attempt();
    this.finish(
      `A proxy between this device and the server takes less than ${size(bytes)} at once, so nothing can be sent through this network. What is stored stays: go on by another network.`,
    );
  }

  /**
   * Something keeps our bytes out: a pause, of which an event tells the page; a
   * request of our own that has not ended yet; or somebody else who sends the
   * same. Only then the offset moves without us, and two who both insist would
   * push each other out for ever: whoever was told to send later stays, and is
   * the only one to insist when the other's next piece comes before it knows.
   */
  private async locked(): Promise<void> {
    if (performance.now() - this.startedAt < insists) return this.later("Waiting for the server");
    this.quiet();
    const generation = this.generation;
    const others = await this.othersSend();
    if (generation !== this.generation) return;
    if (others) this.yield();
    else this.later("Waiting for the server");
  }

  private async othersSend(): Promise<boolean> {
    try {
      const before = await load(this.video.id);
      if (before.paused || before.stage !== "uploading") return false;
      await new Promise((go) => setTimeout(go, patience));
      const after = await load(this.video.id);
      return after.upload!.offset > before.upload!.offset;
    } catch {
      return false; // nobody can tell now: ask again
    }
  }

  private later(why: string, atLeast = 0): void {
    this.quiet();
    if (!this.running) return;
    this.timer = setTimeout(() => this.attempt(), Math.max(backOff(this.failures++), atLeast));
    this.listener.waits(navigator.onLine ? why : "Waiting for the network");
  }

  private yield(): void {
    this.lost = true;
    this.stop();
    this.listener.taken();
  }

  private finish(why: string): void {
    this.end();
    this.listener.ended(why);
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

const offsetOf = (header: string | null | undefined) => Number.parseInt(header ?? "", 10);

const succeeded = (answer: HttpResponse) => answer.getStatus() >= 200 && answer.getStatus() < 300;

/** Whether an answer is by the upload server, not by a proxy or portal. */
const ours = (answer: HttpResponse) =>
  Boolean(answer.getHeader("Tus-Resumable")) || /^application\/problem\+json/.test(answer.getHeader("Content-Type") ?? "");
