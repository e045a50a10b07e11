// Server-sent events of some videos, held by one window.
import { load, Refused, type Video } from "./api";
import { backOff } from "./retry";

/** What is told of the videos that are followed. */
export interface StreamListener {
  video(v: Video): void;
  /** It can't be seen any more: `gone` once it is erased, `not_found` where it is only not for this viewer now. */
  gone(id: string, code: string): void;
}

const most = 50; // ids in a request

let separate = false; // the server has no stream of several videos: one each

export class Stream {
  private sources: EventSource[] = [];
  private ids: string[] = [];
  private timer = 0;
  private failures = 0;

  constructor(private readonly listener: StreamListener) {}

  /** Follows these videos. Those that are not wanted any more go with the next that is added, or the last. */
  follow(wanted: string[]): void {
    if (wanted.length > 0 && wanted.every((id) => this.ids.includes(id)) && this.ids.length <= wanted.length + 10) return;
    this.ids = [...wanted];
    this.open();
  }

  /** Follows nothing any more. */
  close(): void {
    this.disconnect();
    this.ids = [];
  }

  private disconnect(): void {
    clearTimeout(this.timer);
    this.sources.forEach((s) => s.close());
    this.sources = [];
  }

  private open(): void {
    this.disconnect();
    if (separate || this.ids.length === 1) return this.ids.forEach((id) => this.connect(`/v1/videos/${id}/events`, [id], true));
    for (let i = 0; i < this.ids.length; i += most) {
      const group = this.ids.slice(i, i + most);
      this.connect(`/v1/events?${group.map((id) => `id=${id}`).join("&")}`, group, false);
    }
  }

  private connect(address: string, ids: string[], single: boolean): void {
    const source = new EventSource(address);
    this.sources.push(source);
    source.addEventListener("video", (e) => {
      this.failures = 0;
      const v: Video = JSON.parse((e as MessageEvent).data);
      if (single) v.revision ??= Number((e as MessageEvent).lastEventId);
      this.listener.video(v);
    });
    source.addEventListener("gone", (e) => {
      const { id, code } = JSON.parse((e as MessageEvent).data);
      ids = ids.filter((other) => other !== id);
      if (ids.length === 0) source.close(); // it would connect again, for the same answer
      this.listener.gone(id, code);
    });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED && this.sources.includes(source)) void (single ? this.look(ids[0]) : this.probe(address));
    });
  }

  // An EventSource that was refused does not try again by itself, and doesn't tell why.

  private async probe(address: string): Promise<void> {
    const asked = this.sources;
    const status = await statusOf(address);
    if (asked !== this.sources) return; // closed, or open anew
    if (status !== 404) return this.later();
    separate = true;
    this.open();
  }

  private async look(id: string): Promise<void> {
    const asked = this.sources;
    const answer = await load(id).catch((e: Error) => e);
    if (asked !== this.sources) return;
    if (!(answer instanceof Error)) this.listener.video(answer);
    else if (isGone(answer)) {
      this.ids = this.ids.filter((other) => other !== id);
      return this.listener.gone(id, answer.status === 410 ? "gone" : "not_found");
    }
    this.later();
  }

  private later(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), Math.max(2000, backOff(this.failures++)));
  }
}

const isGone = (e: Error): e is Refused => e instanceof Refused && (e.status === 404 || e.status === 410);

/** The status of an answer, whose body is left alone; 0 if none came. */
async function statusOf(address: string): Promise<number> {
  const stop = new AbortController();
  const answer = await fetch(address, { signal: stop.signal, cache: "no-store" }).catch(() => null);
  stop.abort();
  return answer?.status ?? 0;
}
