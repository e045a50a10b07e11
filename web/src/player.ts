// Plays one video, and stops at once when it is told to or refused a key.
import Hls from "hls.js";
import { here, playback } from "./api";

export class Player {
  private hls: Hls | null = null;
  private playing = false;
  private started = 0; // ms since the page was opened
  private position = 0; // where to go on, in seconds
  private resume = false;

  constructor(
    private readonly element: HTMLVideoElement,
    private readonly id: string,
    private readonly onRefused: () => void,
  ) {
    element.addEventListener("error", () => this.playing && !this.hls && this.refused());
  }

  async start(): Promise<void> {
    if (this.playing) return;
    this.playing = true;
    this.started = performance.now();
    const addresses = await playback(this.id);
    if (!this.playing) return; // stopped meanwhile
    if (addresses.poster) this.element.poster = here(addresses.poster);
    if (Hls.isSupported()) this.attach(here(addresses.hls));
    else this.element.src = here(addresses.hls);
    this.element.hidden = false;
    if (this.resume) this.element.play().catch(() => {}); // a browser may want a click for it
  }

  stop(): void {
    this.playing = false;
    this.hls?.destroy();
    this.hls = null;
    this.element.pause();
    this.element.removeAttribute("src");
    this.element.removeAttribute("poster");
    this.element.load(); // drops what is buffered
    this.element.hidden = true;
  }

  private attach(source: string): void {
    this.hls = new Hls({
      workerPath: "/assets/hls.worker.js",
      startPosition: Math.max(0.07, this.position), // B-frames leave a hole before the first picture
      // What is buffered can be watched after a deletion: keep little.
      maxBufferLength: 8,
      maxMaxBufferLength: 8,
      backBufferLength: 8,
    });
    this.hls.on(Hls.Events.ERROR, (_, e) => {
      const status = e.response?.code;
      if (status === 401 || status === 410) this.refused();
      else if (e.fatal && e.type === Hls.ErrorTypes.MEDIA_ERROR) this.hls?.recoverMediaError();
      else if (e.fatal && e.type === Hls.ErrorTypes.NETWORK_ERROR) setTimeout(() => this.hls?.startLoad(), 1000);
    });
    this.hls.loadSource(source);
    this.hls.attachMedia(this.element);
  }

  /** A key or playlist was refused: play no more. If that was only for age, addresses are asked for again. */
  private refused(): void {
    const fresh = performance.now() - this.started < 10_000;
    this.position = this.element.currentTime;
    this.resume = !this.element.paused;
    this.stop();
    if (!fresh) this.onRefused();
  }
}
